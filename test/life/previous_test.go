package life

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// previousVersion is what the programs of the previous version are stamped with, and their images' tag.
const previousVersion = "v1.2.99"

// previousImages are the ones that a control plane and a sidecar consist of; Envoy is the same.
var previousImages = []string{"osm-controller", "osm-injector", "osm-bootstrap", "init", "osm-healthcheck", "osm-preinstall", "osm-crds"}

// preparePrevious builds the previous version, once for each commit, loads its images into the cluster and returns the path of
// its osm command.
func preparePrevious(ctx context.Context) (string, error) {
	text, err := os.ReadFile("previous")
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(text))
	dir := filepath.Join(mesh.Root, "bin", "previous", commit)
	if _, err := os.Stat(dir); err != nil {
		if err := buildPrevious(ctx, commit, dir); err != nil {
			return "", fmt.Errorf("build the previous version: %w", err)
		}
	}
	load := []string{"--name", mesh.Name, "load"}
	for _, image := range previousImages {
		load = append(load, filepath.Join(dir, image+".tar"))
	}
	if out, err := mesh.Run(ctx, "localcluster", load...); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(dir, "osm"), nil
}

// buildPrevious builds the commit in a folder of its own; dir comes into being whole or not at all.
func buildPrevious(ctx context.Context, commit, dir string) error {
	source, err := os.MkdirTemp("", "osm-previous-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(source) }() // what is left lies in the temporary folder
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	out := dir + ".part"
	stamp := "-s -w -X openservicemesh.io/osm/internal/version.Version=" + previousVersion
	archive := filepath.Join(source, "source.tar")
	if err := commands(ctx, []command{
		{mesh.Root, []string{"git", "archive", "-o", archive, commit}},
		{source, []string{"tar", "-xf", archive}},
	}); err != nil {
		return err
	}
	if err := older(source); err != nil {
		return err
	}
	return commands(ctx, []command{
		{source, append([]string{"go", "run", "./tools/images", "build", "--tag", previousVersion, "-o", out}, previousImages...)},
		{source, []string{"go", "build", "-trimpath", "-ldflags", stamp, "-o", filepath.Join(out, "osm"), "./cmd/osm"}},
		{source, []string{"mv", out, dir}},
	})
}

type command struct {
	dir  string
	args []string
}

func commands(ctx context.Context, list []command) error {
	for _, step := range list {
		cmd := exec.CommandContext(ctx, step.args[0], step.args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = step.dir, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w (the repository's history is needed)", strings.Join(step.args, " "), err)
		}
	}
	return nil
}
