package main

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"openservicemesh.io/osm/bench/internal/oncluster"
)

//go:embed testdata
var manifests embed.FS

// The three sides of the comparison.
const (
	none  = "none"
	floor = "floor"
	mesh  = "mesh"
)

var sides = []string{none, floor, mesh}

func namespace(side string) string { return "bench-" + side }

// install makes sure of a mesh that denies by default; one that is there already is used as it is.
func (b *bench) install(ctx context.Context) error {
	if _, err := b.cluster.Run(ctx, "kubectl", "get", "deployment", "osm-controller", "-n", "osm-system"); err == nil {
		return nil
	}
	_, err := b.cluster.Run(ctx, "osm", "install", "--set", "osm.enablePermissiveTrafficPolicy=false", "--timeout", "120s")
	return err
}

// namespaces makes the namespace of every side anew, and lets the client into the mesh's server.
func (b *bench) namespaces(ctx context.Context) error {
	for _, side := range sides {
		ns := namespace(side)
		if _, err := b.cluster.Run(ctx, "kubectl", "delete", "namespace", ns, "--ignore-not-found", "--wait"); err != nil {
			return err
		}
		if _, err := b.cluster.Run(ctx, "kubectl", "create", "namespace", ns); err != nil {
			return err
		}
	}
	if _, err := b.cluster.Run(ctx, "osm", "namespace", "add", namespace(mesh)); err != nil {
		return err
	}
	return b.apply(ctx, mesh, b.manifest(mesh, "policy.yaml", "", ""))
}

// deploy makes the pods of every side anew and waits until they are ready; those of different sides start together.
func (b *bench) deploy(ctx context.Context) error {
	oncluster.Progress("making the pods anew")
	cert, key, err := keyPair()
	if err != nil {
		return err
	}
	for _, patience := range []string{"--wait=false", "--wait"} { // all end at the same time
		for _, side := range sides {
			if _, err := b.cluster.Run(ctx, "kubectl", "delete", "pods", "--all", "-n", namespace(side), patience); err != nil {
				return err
			}
		}
	}
	ips := map[string]string{}
	for _, pod := range []string{"server", "client"} {
		for _, side := range sides {
			if err := b.pod(ctx, side, pod, ips[side], cert, key); err != nil {
				return err
			}
		}
		for _, side := range sides {
			if ips[side], err = b.ready(ctx, side, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

// ready waits for a pod and returns its address.
func (b *bench) ready(ctx context.Context, side, pod string) (string, error) {
	if _, err := b.cluster.Run(ctx, "kubectl", "wait", "pod", pod, "-n", namespace(side), "--for=condition=Ready", "--timeout=90s"); err != nil {
		return "", err
	}
	out, err := b.cluster.Output(ctx, "kubectl", "get", "pod", pod, "-n", namespace(side), "-o", "jsonpath={.metadata.uid} {.status.podIP}")
	uid, ip, _ := strings.Cut(out, " ")
	b.uids[side+"/"+pod] = uid
	return ip, err
}

// pod applies the manifest of one pod; of the floor's it first makes the configuration.
func (b *bench) pod(ctx context.Context, side, pod, serverIP, cert, key string) error {
	initContainers, volumes := "", ""
	if side == floor {
		config, err := floorObjects(namespace(side), pod, floorConfig(pod == "client", serverIP), cert, key)
		if err != nil {
			return err
		}
		if err := b.apply(ctx, side, config); err != nil {
			return err
		}
		initContainers, volumes = floorSidecar(pod)
	}
	return b.apply(ctx, side, b.manifest(side, pod+".yaml", initContainers, volumes))
}

func (b *bench) manifest(side, file, initContainers, volumes string) string {
	text, err := manifests.ReadFile("testdata/" + file)
	if err != nil {
		panic(err) // embedded
	}
	return strings.NewReplacer("NAMESPACE", namespace(side), "SIDECAR_INIT", initContainers, "SIDECAR_VOLUMES", volumes).Replace(string(text))
}

func (b *bench) apply(ctx context.Context, side, text string) error {
	cmd := b.cluster.Command(ctx, "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: kubectl apply: %w\n%s", side, err, out)
	}
	return nil
}
