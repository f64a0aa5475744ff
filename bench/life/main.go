package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"openservicemesh.io/osm/bench/internal/oncluster"
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
	installs := flag.Int("installs", 3, "how often the mesh is installed")
	pods := flag.Int("pods", 20, "pods started of each kind")
	load := flag.Duration("load", 20*time.Second, "length of the load under which the controller is killed")
	oncluster.Main("life", "Life", func(ctx context.Context, c *cluster.Cluster, table *report.Table) error {
		b := &bench{cluster: c, table: table}
		return b.measure(ctx, *installs, *pods, *load)
	})
}

func (b *bench) measure(ctx context.Context, installs, pods int, load time.Duration) error {
	config, err := clientcmd.BuildConfigFromFlags("", b.cluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", b.cluster.Kubeconfig, err)
	}
	if b.client, err = kubernetes.NewForConfig(config); err != nil {
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

// installs installs the mesh a number of times, and leaves the last one.
func (b *bench) installs(ctx context.Context, n int) error {
	var took []float64
	for range n {
		oncluster.Progress("installing the mesh")
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
