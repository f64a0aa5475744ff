package walkthrough

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const succeeded = "MAESTRO! THIS TEST SUCCEEDED!"

var apps = []string{"bookbuyer", "bookstore", "bookwarehouse"}

const (
	appsDir     = "docs/example/manifests/apps/"
	policiesDir = "docs/example/manifests/policies/"
)

func (s *Story) applications(ctx context.Context) error {
	for _, app := range apps {
		if err := s.apply(ctx, appsDir+app+".yaml"); err != nil {
			return err
		}
	}
	for _, app := range apps {
		if _, err := s.quiet(ctx, "kubectl", "rollout", "status", "deployment", app, "-n", app, "--timeout=60s"); err != nil {
			return err
		}
	}
	return s.buyerSays(ctx, "bookbuyer buys, without a mesh",
		"http://bookstore.bookstore:14001/books-bought", "http://bookstore.bookstore:14001/buy-a-book/new",
		"Client-App: bookbuyer", "Identity: bookstore-v1", "Booksbought:", "Server: n/a", "Date:", "Status: 200 OK", succeeded)
}

// apply applies a manifest, with the images of the registry in use.
func (s *Story) apply(ctx context.Context, path string) error {
	if s.Registry == "" {
		_, err := s.run(ctx, "kubectl", "apply", "-f", path)
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.cluster.Root, path))
	if err != nil {
		return err
	}
	return s.applyText(ctx, strings.ReplaceAll(string(text), "image: openservicemesh/", "image: "+s.Registry+"/"))
}

func (s *Story) applyText(ctx context.Context, text string) error {
	cmd := s.cluster.Command(ctx, "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, out)
	}
	s.say("%s", indent(string(out)))
	return nil
}

// buyerSays waits until what bookbuyer logged in the last seconds holds every part.
func (s *Story) buyerSays(ctx context.Context, what string, parts ...string) error {
	return s.until(ctx, 30*time.Second, what, func() error {
		out, err := s.quiet(ctx, "kubectl", "logs", "-n", "bookbuyer", "deployment/bookbuyer", "-c", "bookbuyer", "--since=4s")
		if err != nil {
			return err
		}
		return expect(out, parts...)
	})
}

// restart restarts applications and waits until all their pods are ready in the given number of containers.
func (s *Story) restart(ctx context.Context, ready string, list ...string) error {
	for _, app := range list {
		args := []string{"rollout", "restart", "deployment", app, "-n", app}
		if _, err := s.quiet(ctx, "kubectl", "get", "deployment", "-n", app, app+"-v2"); err == nil {
			args = append(args, app+"-v2")
		}
		if _, err := s.run(ctx, "kubectl", args...); err != nil {
			return err
		}
	}
	for _, app := range list {
		err := s.until(ctx, 90*time.Second, fmt.Sprintf("%s is %s", app, ready), func() error {
			return s.onlyPods(ctx, app, ready)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Story) onlyPods(ctx context.Context, app, ready string) error {
	out, err := s.quiet(ctx, "kubectl", "get", "pods", "-n", app, "-l", "app="+app, "--no-headers")
	if err != nil {
		return err
	}
	rows := strings.Split(strings.TrimSpace(out), "\n")
	for _, row := range rows {
		f := strings.Fields(row)
		if len(f) < 3 || f[1] != ready || f[2] != "Running" {
			return fmt.Errorf("pods are\n%s", indent(out))
		}
	}
	return nil
}
