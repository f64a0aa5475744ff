// Package oncluster is what every bench on the local cluster begins and ends with.
// Input: the program's flags beside its own three. Output: a report.Table, as text and, if wanted, as JSON; what happens meanwhile on
// standard error. It measures nothing itself.
package oncluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/cluster"
)

// Main is a bench's whole main once its own flags are declared: it brings the cluster up, has measure fill the table, publishes that and
// takes the cluster down. It ends the process when something failed. name is the program's folder under bench/.
func Main(name, title string, measure func(context.Context, *cluster.Cluster, *report.Table) error) {
	on := flag.String("cluster", "osm-bench", "local cluster to use; it is brought up")
	file := flag.String("json", "", "file to write the table to")
	keep := flag.Bool("keep", false, "leave the cluster up")
	flag.Parse()
	table := &report.Table{Title: title, Command: "go run ./bench/" + name + " " + strings.Join(os.Args[1:], " ")}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c, err := up(ctx, *on)
	if err == nil {
		err = measure(ctx, c, table)
	}
	stop()
	if err == nil {
		err = table.Publish(os.Stdout, *file)
	}
	if c != nil && !*keep {
		err = errors.Join(err, c.Down(context.Background(), os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// up may return a cluster beside an error: one that is there and lacks its images.
func up(ctx context.Context, name string) (*cluster.Cluster, error) {
	root, err := cluster.FindRoot()
	if err != nil {
		return nil, err
	}
	return cluster.Local(ctx, root, name, os.Stderr)
}

// Progress tells on standard error what happens now; standard output is the table's.
func Progress(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }
