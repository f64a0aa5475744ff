package main

import (
	"context"
	"embed"
	"fmt"
	"strings"
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

// deploy makes the namespaces and pods of every side anew and waits until they are ready.
func (b *bench) deploy(ctx context.Context) error {
	cert, key, err := keyPair()
	if err != nil {
		return err
	}
	for _, side := range sides {
		if err := b.namespaceOf(ctx, side); err != nil {
			return err
		}
		ip := ""
		for _, pod := range []string{"server", "client"} {
			if err := b.pod(ctx, side, pod, ip, cert, key); err != nil {
				return err
			}
			out, err := b.cluster.Output(ctx, "kubectl", "get", "pod", pod, "-n", namespace(side), "-o", "jsonpath={.metadata.uid} {.status.podIP}")
			if err != nil {
				return err
			}
			b.uids[side+"/"+pod], ip, _ = strings.Cut(out, " ")
		}
	}
	return b.apply(ctx, mesh, b.manifest(mesh, "policy.yaml", "", ""))
}

func (b *bench) namespaceOf(ctx context.Context, side string) error {
	ns := namespace(side)
	if _, err := b.cluster.Run(ctx, "kubectl", "delete", "namespace", ns, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	if _, err := b.cluster.Run(ctx, "kubectl", "create", "namespace", ns); err != nil || side != mesh {
		return err
	}
	_, err := b.cluster.Run(ctx, "osm", "namespace", "add", ns)
	return err
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
	if err := b.apply(ctx, side, b.manifest(side, pod+".yaml", initContainers, volumes)); err != nil {
		return err
	}
	_, err := b.cluster.Run(ctx, "kubectl", "wait", "pod", pod, "-n", namespace(side), "--for=condition=Ready", "--timeout=90s")
	return err
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
