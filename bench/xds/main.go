// Command xds measures the delta server with simulated proxies, over TLS on loopback, beside the least server, which only
// hands out prepared bytes: a join storm, an endpoint that changes, a policy that touches everybody, everybody
// reconnecting, nothing at all. Each server is a process of its own and its proxies another; the two take turns.
//
//	go run ./bench/xds [-proxies 1000] [-services 100] [-endpoints 10] [-rounds 20] [-json FILE]
//
// Input: flags. Output: a table beside its bars. Times run from the change to the last proxy's acknowledgement.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"openservicemesh.io/osm/bench/internal/report"
)

func main() {
	var s size
	flag.IntVar(&s.proxies, "proxies", 1000, "connections")
	flag.IntVar(&s.services, "services", 100, "services, each with one identity")
	flag.IntVar(&s.endpoints, "endpoints", 10, "endpoints of each service")
	rounds := flag.Int("rounds", 20, "repetitions of each change")
	many := flag.Int("many", 10000, "endpoints in all for the second figure of memory; 0: leave it out")
	rest := flag.Duration("rest", 10*time.Second, "how long to measure that nothing happens")
	file := flag.String("json", "", "file to write the table to as JSON")
	profile := flag.String("profile", "", "folder to write all.cpu and joined.heap of the product's server into")
	kind := flag.String("serve", "", "internal: the server to be, ours or least")
	proxiesOf := flag.String("simulate", "", "internal: address of the server whose proxies to be")
	flag.Parse()
	var err error
	switch {
	case *proxiesOf != "":
		simulate(*proxiesOf, os.Stdin, os.Stdout, s.proxies, s.services)
	case *kind != "":
		err = serve(*kind, s, *profile, os.Stdin, os.Stdout)
	default:
		var table *report.Table
		if table, err = compare(s, *rounds, *many, *rest, *profile); err == nil {
			err = table.Publish(os.Stdout, *file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// remote is a server in a process of its own.
type remote struct {
	in   io.WriteCloser
	out  *bufio.Reader
	cmd  *exec.Cmd
	peak int
}

func start(kind string, s size, profile string) (*remote, error) {
	args := []string{"-serve", kind, "-proxies", strconv.Itoa(s.proxies), "-services", strconv.Itoa(s.services), "-endpoints", strconv.Itoa(s.endpoints)}
	if kind == "ours" && profile != "" {
		args = append(args, "-profile", profile)
	}
	r := &remote{cmd: exec.Command(os.Args[0], args...)} //nolint:gosec // itself
	r.cmd.Stderr = os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.in, r.out = in, bufio.NewReader(out)
	return r, r.cmd.Start()
}

func (r *remote) do(words ...any) (sample, error) {
	command := strings.TrimSpace(fmt.Sprintln(words...))
	if _, err := fmt.Fprintln(r.in, command); err != nil {
		return sample{}, err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", command, err)
	}
	var s sample
	if err := json.Unmarshal(line, &s); err != nil {
		return s, err
	}
	if s.Error != "" {
		return s, fmt.Errorf("%s: %s", command, s.Error)
	}
	r.peak = max(r.peak, s.RSS)
	return s, nil
}

func (r *remote) end() error {
	_ = r.in.Close()
	return r.cmd.Wait()
}
