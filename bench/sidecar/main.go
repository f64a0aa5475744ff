package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"

	"openservicemesh.io/osm/bench/internal/report"
)

func main() {
	services := flag.String("services", "10,100,1000", "numbers of services in the mesh")
	binary := flag.String("envoy", "bin/envoy", "the Envoy to run")
	file := flag.String("json", "", "file to write the table to")
	inside := flag.Bool("inside", false, "internal: the process is in a network namespace of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *inside {
		err = run(ctx, *binary, strings.Split(*services, ","), *file)
	} else {
		err = isolate(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// isolate runs this program again where its ports are free and nobody else's sidecar listens.
func isolate(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"-inside"}, os.Args[1:]...)...) //nolint:gosec // itself
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("a network namespace: %w (run as root)", err)
	}
	return err
}

func run(ctx context.Context, binary string, counts []string, file string) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback of the network namespace: %w", err)
	}
	table := &report.Table{Title: "Sidecar memory", Command: "go run ./bench/sidecar " + strings.Join(os.Args[2:], " ")}
	for _, count := range counts {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return fmt.Errorf("-services %q: numbers from 1 are wanted, with commas between", count)
		}
		u, err := sidecar(ctx, binary, world(n))
		if err != nil {
			return fmt.Errorf("%d services: %w", n, err)
		}
		must, aim := report.SidecarMemory(n)
		table.Add(report.Row{
			Name: fmt.Sprintf("sidecar memory, %d services", n), Figure: float64(u.anonymous) / 1e6, Unit: "MB", Must: must, Aim: aim, Runs: 1,
			Note: fmt.Sprintf("anonymous; %.1f MB allocated, %d clusters", float64(u.allocated)/1e6, u.clusters),
		})
	}
	return table.Publish(os.Stdout, file)
}
