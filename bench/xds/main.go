// Command xds measures the delta server with simulated proxies, over TLS on loopback: a join storm, an endpoint that
// changes, a policy that touches everybody, and everybody reconnecting. The proxies run in a child process, so that
// memory and CPU are the server's own; the machine's cores are shared by both.
//
//	go run ./bench/xds [-proxies 1000] [-services 100] [-rounds 20]
//
// Input: flags. Output: one line a scenario. Times run from SetView to the last proxy's acknowledgement.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

func main() {
	proxies := flag.Int("proxies", 1000, "connections")
	services := flag.Int("services", 100, "services, each with one identity")
	rounds := flag.Int("rounds", 20, "repetitions of each change")
	profile := flag.String("profile", "", "folder to write join.cpu, change.cpu and joined.heap into")
	child := flag.String("simulate", "", "internal: address of the server whose proxies to be")
	flag.Parse()
	if *child != "" {
		simulate(*child, os.Stdin, os.Stdout, *proxies, *services)
		return
	}
	if err := run(*proxies, *services, *rounds, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func identity(i int) meshid.Identity {
	return meshid.Identity{Namespace: fmt.Sprint("ns", i), ServiceAccount: "app"}
}

func cluster(i int) string {
	return names.UpstreamCluster(meshid.Service{Namespace: fmt.Sprint("ns", i), Name: "app"}, 8080)
}

// config is what proxies of identity i get in permissive mode: a cluster for each service, TLS to each, one route
// configuration over all, another inbound, and two listeners.
func config(i, services, rev int) []*envoy.Resource {
	own := names.SecretServiceCert(identity(i))
	var out []*envoy.Resource
	var clusters []string
	for c := range services {
		clusters = append(clusters, cluster(c))
		out = append(out, xdstest.Cluster(cluster(c), 1, own))
	}
	local := cluster(i) + "|local"
	return append(out,
		xdstest.Encode(envoy.Cluster, local, xdstest.LocalCluster(local, 8080)),
		xdstest.Route("rds-outbound.8080", rev, clusters...), xdstest.Route("rds-inbound.8080", rev, local),
		xdstest.Listener("outbound-listener", 15001, 1, []string{"rds-outbound.8080"}, nil),
		xdstest.Listener("inbound-listener", 15003, 1, []string{"rds-inbound.8080"}, nil),
	)
}

func endpoints(c, n int) *envoy.Resource {
	ports := make([]uint32, n)
	for i := range ports {
		ports[i] = uint32(8000 + i)
	}
	return xdstest.Endpoints(cluster(c), 1, ports...)
}

// bench is the server and the child that simulates.
type bench struct {
	srv      *xdsserver.Server
	in       io.Writer
	out      *bufio.Reader
	proxies  int
	services int
	view     *xdstest.View
	peak     int
	profile  string
}

func run(proxies, services, rounds int, profile string) error {
	srv, err := xdsserver.Start(xds.Options{StreamsPerSecond: 1 << 20})
	if err != nil {
		return err
	}
	defer srv.Stop()
	b := &bench{srv: srv, proxies: proxies, services: services, view: xdstest.NewView(), profile: profile}
	for i := range services {
		b.view.EDS[cluster(i)] = endpoints(i, 10)
	}
	b.configure(1)
	empty := rss()
	cmd := exec.Command(os.Args[0], "-simulate", srv.Address, "-proxies", strconv.Itoa(proxies), "-services", strconv.Itoa(services))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.in, b.out = in, bufio.NewReader(out)
	if _, err := b.in.Write(append(srv.RootPEM, "\n.\n"...)); err != nil {
		return err
	}
	srv.Hub.SetView(b.view)
	if err := b.scenarios(rounds, empty); err != nil {
		return err
	}
	_ = in.Close()
	return cmd.Wait()
}

// configure gives every pod its configuration at revision rev.
func (b *bench) configure(rev int) {
	for i := range b.services {
		list := config(i, b.services, rev)
		for p := i; p < b.proxies; p += b.services {
			pod := meshid.Pod{Namespace: identity(i).Namespace, Name: fmt.Sprint("app-", p), UID: fmt.Sprint(p)}
			if rev == 1 {
				b.srv.Tokens.Allow(fmt.Sprint("token-", p), xds.Peer{Pod: pod, Identity: identity(i)})
			}
			b.view.Add(pod, identity(i))
		}
		for key := range b.view.Configs {
			if key.Identity == identity(i) {
				b.view.Configs[key] = envoy.NewResources(list)
			}
		}
	}
}

func (b *bench) scenarios(rounds, empty int) error {
	cpu := cpuTime()
	stop := b.profiled("join")
	join, err := b.all("connect")
	if err != nil {
		return err
	}
	stop()
	fmt.Printf("join storm           %8.0f joins/s, last proxy after %v, %.2f ms of server CPU each\n",
		float64(b.proxies)/join.Seconds(), join.Round(time.Millisecond), ms(cpuTime()-cpu)/float64(b.proxies))
	joined := rss()
	b.heap()
	stop = b.profiled("change")

	if err := b.change("one endpoint", rounds, func(round int) {
		b.view = b.view.Next()
		b.view.EDS[cluster(0)] = endpoints(0, 11+round%2)
	}); err != nil {
		return err
	}
	if err := b.change("policy for all", rounds, func(round int) {
		b.view = b.view.Next()
		b.configure(2 + round)
	}); err != nil {
		return err
	}

	stop()
	cpu, begin := cpuTime(), time.Now()
	if _, err := b.ask("reset"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	quiet, err := b.ask("traffic")
	if err != nil {
		return err
	}
	fmt.Printf("idle                 %8.2f %% of a core, %s\n", 100*float64(cpuTime()-cpu)/float64(time.Since(begin)), quiet)

	again, err := b.all("reconnect")
	if err != nil {
		return err
	}
	traffic, err := b.ask("traffic")
	if err != nil {
		return err
	}
	fmt.Printf("all reconnect        last after %v, %s\n", again.Round(time.Millisecond), traffic)
	fmt.Printf("server memory (RSS)  empty %d MB, joined %d MB, worst %d MB\n", empty, joined, max(b.peak, rss()))
	return nil
}

// profiled records CPU until the function it returns is called.
func (b *bench) profiled(name string) func() {
	if b.profile == "" {
		return func() {}
	}
	f, err := os.Create(filepath.Join(b.profile, name+".cpu"))
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }
}

func (b *bench) heap() {
	if b.profile == "" {
		return
	}
	f, err := os.Create(filepath.Join(b.profile, "joined.heap"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	runtime.GC()
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		panic(err)
	}
}

// all has every proxy connect and waits until each has acknowledged everything.
func (b *bench) all(how string) (time.Duration, error) {
	begin := time.Now()
	if _, err := b.ask(how); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for b.srv.Hub.Len() < b.proxies {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%d of %d proxies came", b.srv.Hub.Len(), b.proxies)
		}
		time.Sleep(time.Millisecond)
	}
	err := b.srv.Hub.WaitAcked(ctx, b.view.Gen)
	b.peak = max(b.peak, rss())
	return time.Since(begin), err
}

func (b *bench) change(name string, rounds int, make func(round int)) error {
	var times []time.Duration
	if _, err := b.ask("reset"); err != nil {
		return err
	}
	cpu := time.Duration(0)
	var set []time.Duration
	for round := range rounds {
		make(round)
		before, begin := cpuTime(), time.Now()
		b.srv.Hub.SetView(b.view)
		set = append(set, time.Since(begin))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := b.srv.Hub.WaitAcked(ctx, b.view.Gen)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		times = append(times, time.Since(begin))
		cpu += cpuTime() - before
		b.peak = max(b.peak, rss())
		time.Sleep(50 * time.Millisecond)
	}
	slices.Sort(times)
	slices.Sort(set)
	traffic, err := b.ask("traffic")
	if err != nil {
		return err
	}
	fmt.Printf("%-20s median %v, worst %v, SetView %v, %.0f ms of server CPU, in %d rounds %s\n", name,
		times[len(times)/2].Round(100*time.Microsecond), times[len(times)-1].Round(100*time.Microsecond),
		set[len(set)/2].Round(10*time.Microsecond), ms(cpu)/float64(rounds), rounds, traffic)
	return nil
}

// ask sends a command to the child and returns its one-line answer.
func (b *bench) ask(command string) (string, error) {
	if _, err := fmt.Fprintln(b.in, command); err != nil {
		return "", err
	}
	line, err := b.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// rss returns this process's resident memory in MB.
func rss() int {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize() >> 20
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
