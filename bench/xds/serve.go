package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is what one command to a server did: how long until the last proxy had acknowledged, what the server spent on
// it, and what went to the proxies.
type sample struct {
	Took, CPU time.Duration
	Traffic   traffic
	// Resident memory of the server in MB when it was done.
	RSS   int
	Error string
}

// host is a process with one server in it and the proxies in a child, so that memory and CPU are the server's own.
type host struct {
	subject
	size
	in      io.Writer
	out     *bufio.Reader
	profile string
	stopCPU func()
}

// serve makes the server and obeys commands, one a line, each answered by a sample: join, reconnect, heap,
// quiet DURATION, change KIND ROUND; empty tells the memory before anybody came.
func serve(kind string, s size, profile string, in io.Reader, out io.Writer) error {
	h := &host{size: s, profile: profile}
	var err error
	if kind == "least" {
		h.subject, err = newLeast(s)
	} else {
		h.subject, err = newOurs(s)
	}
	if err != nil {
		return err
	}
	defer h.stop()
	child, err := h.spawn()
	if err != nil {
		return err
	}
	empty := rss()
	h.record("all.cpu")
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		took, err := h.obey(strings.Fields(scan.Text()))
		if err != nil {
			took.Error = err.Error()
		}
		if scan.Text() == "empty" {
			took.RSS = empty
		}
		if err := json.NewEncoder(out).Encode(took); err != nil {
			return err
		}
	}
	h.record("")
	return child()
}

// spawn starts the proxies; the function it returns ends them.
func (h *host) spawn() (end func() error, err error) {
	address, pem := h.address()
	cmd := exec.Command(os.Args[0], "-simulate", address, "-proxies", strconv.Itoa(h.proxies), "-services", strconv.Itoa(h.services)) //nolint:gosec // itself
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h.in, h.out = in, bufio.NewReader(out)
	_, err = in.Write(append(pem, "\n.\n"...))
	return func() error { _ = in.Close(); return cmd.Wait() }, err
}

func (h *host) obey(words []string) (sample, error) {
	if len(words) == 0 {
		return sample{}, fmt.Errorf("no command")
	}
	if _, err := h.ask("reset"); err != nil {
		return sample{}, err
	}
	act := func() error { return nil }
	switch words[0] {
	case "empty":
	case "join", "reconnect":
		act = func() error {
			_, err := h.ask(map[string]string{"join": "connect", "reconnect": "reconnect"}[words[0]])
			return err
		}
	case "quiet":
		rest, err := time.ParseDuration(words[1])
		if err != nil {
			return sample{}, err
		}
		act = func() error { time.Sleep(rest); return nil }
	case "heap":
		return sample{}, h.heap()
	case "change":
		round, err := strconv.Atoi(words[2])
		if err != nil {
			return sample{}, err
		}
		publish, err := h.prepare(words[1], round)
		if err != nil {
			return sample{}, err
		}
		act = func() error { publish(); return nil }
	default:
		return sample{}, fmt.Errorf("no command is called %q", words[0])
	}
	return h.measure(act, words[0] != "empty")
}

func (h *host) measure(act func() error, settle bool) (sample, error) {
	cpu, begin := cpuTime(), time.Now()
	if err := act(); err != nil {
		return sample{}, err
	}
	if settle {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := h.settled(ctx); err != nil {
			return sample{}, err
		}
	}
	out := sample{Took: time.Since(begin), CPU: cpuTime() - cpu, RSS: rss()}
	line, err := h.ask("traffic")
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal([]byte(line), &out.Traffic)
}

// ask sends a command to the proxies and returns their one-line answer.
func (h *host) ask(command string) (string, error) {
	if _, err := fmt.Fprintln(h.in, command); err != nil {
		return "", err
	}
	line, err := h.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// record writes a CPU profile under a name until it is called again; "" only ends the last one.
func (h *host) record(name string) {
	if h.stopCPU != nil {
		h.stopCPU()
		h.stopCPU = nil
	}
	if h.profile == "" || name == "" {
		return
	}
	f, err := os.Create(filepath.Join(h.profile, name))
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	h.stopCPU = func() { pprof.StopCPUProfile(); _ = f.Close() }
}

func (h *host) heap() error {
	if h.profile == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(h.profile, "joined.heap"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	runtime.GC()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

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
