package bugreport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// World is the cluster.
type World struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	// Get fetches a page of a pod; an answer of any status is an answer.
	Get func(ctx context.Context, namespace, pod string, port uint16, path string) ([]byte, error)
}

// Options say what to collect.
type Options struct {
	// OSMNamespace is the control plane's.
	OSMNamespace string
	// Version is the command's.
	Version string
	// All takes every pod that has a sidecar.
	All bool
	// Namespaces, Deployments ("<namespace>/<name>") and Pods ("<namespace>/<name>") choose pods.
	Namespaces, Deployments, Pods []string
	// Ingress takes the ingress controllers' pods too.
	Ingress bool
}

// collector is one run.
type collector struct {
	World
	Options
	dir string
	out io.Writer
	// members are the namespaces of meshes.
	members []string
	pods    []corev1.Pod
}

// step is one section of the report.
type step struct {
	title string
	run   func(context.Context) error
}

// Write collects a report and writes it to a file. Progress goes to out. What cannot be collected is told there and left out; the
// error is about the file, or is the context's. dir is where the files are staged; it is the caller's to remove.
func Write(ctx context.Context, w World, o Options, dir, file string, out io.Writer) error {
	c := &collector{World: w, Options: o, dir: dir, out: out}
	c.say("[+] Created staging dir %s to generate bug report\n", dir)
	steps := []step{
		{"Collecting information about meshed namespaces", c.namespaces},
		{"Collecting information about the control plane", c.controlPlane},
		{"Collecting logs of the control plane", c.controlPlaneLogs},
		{"Collecting MeshConfig and policies", c.policies},
		{"Collecting the input of the configuration, for osm x render", c.renderInput},
		{"Collecting information about individual app namespaces", c.appNamespaces},
		{"Collecting information about individual app pods", c.appPods},
	}
	if o.Ingress {
		steps = append(steps, step{"Collecting information about ingress controllers", c.ingress})
	}
	for _, s := range steps {
		c.say("\n[+] %s\n", s.title)
		if err := s.run(ctx); err != nil {
			c.failed(s.title, err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted, no report was written: %w", err)
		}
	}
	c.readme(ctx)
	if err := archive(dir, file); err != nil {
		return fmt.Errorf("Error archiving files: %w", err)
	}
	c.say("\n[+] Bug report successfully archived to %s\n", file)
	return nil
}

func (c *collector) say(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }

func (c *collector) done(what string) { c.say("  ✓ %s\n", what) }

func (c *collector) failed(what string, err error) {
	for line := range strings.SplitSeq(string(Text([]byte(err.Error()))), "\n") {
		c.say("  x %s: %s\n", what, line)
	}
}

// file writes one redacted file of the report and says so.
func (c *collector) file(path string, text []byte, err error) {
	if err == nil {
		err = c.put(path, text)
	}
	if err != nil {
		c.failed(path, err)
		return
	}
	c.done(path)
}

func (c *collector) put(path string, text []byte) error {
	// Names of objects are part of paths; Kubernetes' own rules for names leave nothing that could climb out of the folder.
	full := filepath.Join(c.dir, filepath.FromSlash(path))
	if !strings.HasPrefix(full, filepath.Clean(c.dir)+string(filepath.Separator)) {
		return errors.New("the path leads out of the report")
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	return os.WriteFile(full, Text(text), 0o600)
}

// readme says what is in the archive and how to replay it.
func (c *collector) readme(ctx context.Context) {
	text := `This archive was made by "osm support bug-report" ` + c.Version + `.

namespaces.yaml     the namespaces of the mesh
control-plane/      pods, deployments, webhooks, custom resource definitions, versions and metrics of the control plane, and how
                    far each proxy is
control-plane/logs/ its logs
policies/           MeshConfig and every policy object
render/             what the configuration of every proxy is made of
namespaces/         services and events of the namespaces of the chosen pods
pods/               the chosen pods: manifest, logs, and what their sidecars hold
ingress/            ingress controllers, when asked for

What is secret is replaced by "` + Redacted + `". Of Secrets only the names are listed.

To see the configuration that the control plane makes of this input, without a cluster:

  osm x render -f render --trust-domain ` + c.trustDomain(ctx) + `
  osm x render -f render --trust-domain ` + c.trustDomain(ctx) + ` --proxy <serviceaccount>.<namespace> -o envoy
`
	if err := c.put("README.txt", []byte(text)); err != nil {
		c.failed("README.txt", err)
	}
}

// flagValue finds --<name>=<value> among the arguments of containers.
func flagValue(containers []corev1.Container, name string) string {
	for _, container := range containers {
		for _, arg := range slices.Concat(container.Command, container.Args) {
			if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
				return value
			}
		}
	}
	return ""
}
