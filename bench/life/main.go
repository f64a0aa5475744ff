package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/cluster"
)

const meshNamespace = "osm-system"

// bench is one run.
type bench struct {
	cluster *cluster.Cluster
	client  kubernetes.Interface
	table   *report.Table
}

func main() {
	name := flag.String("cluster", "osm-bench", "local cluster to use; it is brought up")
	installs := flag.Int("installs", 3, "how often the mesh is installed")
	pods := flag.Int("pods", 10, "pods started of each kind")
	load := flag.Duration("load", 20*time.Second, "length of the load under which the controller is killed")
	file := flag.String("json", "", "file to write the table to")
	keep := flag.Bool("keep", false, "leave the cluster up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	b := &bench{table: &report.Table{Title: "Life", Command: "go run ./bench/life " + strings.Join(os.Args[1:], " ")}}
	err := b.measure(ctx, *name, *installs, *pods, *load)
	stop()
	if err == nil {
		err = b.table.Publish(os.Stdout, *file)
	}
	if b.cluster != nil && !*keep {
		err = errors.Join(err, b.cluster.Down(context.Background(), os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func (b *bench) measure(ctx context.Context, name string, installs, pods int, load time.Duration) error {
	if err := b.up(ctx, name); err != nil {
		return err
	}
	if err := b.installs(ctx, installs); err != nil {
		return err
	}
	if err := b.namespaces(ctx); err != nil {
		return err
	}
	if err := b.starts(ctx, pods); err != nil {
		return err
	}
	return b.killed(ctx, load)
}

func (b *bench) up(ctx context.Context, name string) error {
	root, err := cluster.FindRoot()
	if err != nil {
		return err
	}
	if b.cluster, err = cluster.Local(ctx, root, name, os.Stderr); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", b.cluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", b.cluster.Kubeconfig, err)
	}
	b.client, err = kubernetes.NewForConfig(config)
	return err
}

// installs installs the mesh a number of times, and leaves the last one.
func (b *bench) installs(ctx context.Context, n int) error {
	var took []float64
	for range n {
		progress("installing the mesh")
		if _, err := b.cluster.Run(ctx, "osm", "uninstall", "mesh", "--force", "--delete-namespace", "--delete-cluster-wide-resources"); err != nil && !strings.Contains(err.Error(), "No OSM control planes found") {
			return err
		}
		if _, err := b.cluster.Run(ctx, "kubectl", "delete", "namespace", meshNamespace, "--ignore-not-found", "--wait"); err != nil {
			return err
		}
		began := time.Now()
		if _, err := b.cluster.Run(ctx, "osm", "install", "--timeout", "120s", "--set", "osm.enablePermissiveTrafficPolicy=true"); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
	}
	b.table.Add(report.Row{Name: "osm install until ready", Figure: report.Median(took), Unit: "s", Must: 15, Aim: 8, Runs: n, Spread: report.Spread(took), Note: "images present"})
	return nil
}

// progress tells on standard error what happens now; standard output is the table's.
func progress(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }
