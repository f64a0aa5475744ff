// Command cmd tells the walk-through: on a local cluster that it brings up, or on the cluster kubectl uses.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/internal/testkit/cluster"
	"openservicemesh.io/osm/test/walkthrough"
)

func main() {
	where := flag.String("cluster", "local", "local, or current for the cluster kubectl uses")
	name := flag.String("name", "osm", "name of the local cluster")
	registry := flag.String("registry", "", "registry the cluster pulls images from (with -cluster=current)")
	once := flag.Bool("once", false, "tell the story once, in osm-system, instead of also as a managed extension in arc-osm-system")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *where, *name, *registry, *once)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nnot as it should be: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, where, name, registry string, once bool) error {
	root, err := cluster.FindRoot()
	if err != nil {
		return err
	}
	var c *cluster.Cluster
	switch where {
	case "local":
		if c, err = cluster.Local(ctx, root, name, os.Stdout); err != nil {
			return err
		}
	case "current":
		c = cluster.Current(root)
	default:
		return fmt.Errorf("-cluster %q: use local or current", where)
	}
	base := walkthrough.Options{Cluster: c, Out: os.Stdout, Registry: registry}
	if !once {
		managed := base
		managed.Namespace, managed.Managed = "arc-osm-system", true
		if err := walkthrough.Run(ctx, managed); err != nil {
			return err
		}
	}
	// Told once, the story stops before its last step, so that there is a mesh to look at.
	base.Namespace, base.KeepMesh = "osm-system", once
	if err := walkthrough.Run(ctx, base); err != nil {
		return err
	}
	farewell(c, once)
	return nil
}

func farewell(c *cluster.Cluster, meshed bool) {
	fmt.Println("\nThe cluster is still up. To look around:")
	if c.Kubeconfig != "" {
		fmt.Printf("  export KUBECONFIG=%s\n", c.Kubeconfig)
	}
	if !meshed {
		fmt.Println("  bin/osm install && bin/osm namespace add bookbuyer bookstore bookwarehouse bookthief     # the mesh again")
		fmt.Println("  for ns in bookbuyer bookstore bookwarehouse bookthief; do kubectl rollout restart deployment -n $ns; done")
	}
	fmt.Print(`  kubectl get pods -A
  kubectl logs -n bookbuyer deployment/bookbuyer -c bookbuyer -f
  kubectl port-forward -n bookbuyer deployment/bookbuyer 8080:14001     # then http://localhost:8080
  bin/osm mesh list
`)
	if c.Name != "" {
		fmt.Printf("To remove it and everything it made:\n  bin/localcluster --name %s down\n", c.Name)
	}
}
