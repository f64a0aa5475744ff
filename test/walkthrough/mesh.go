package walkthrough

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func (s *Story) onboard(ctx context.Context) error {
	out, err := s.run(ctx, "osm", "namespace", "add", "bookstore", "bookbuyer", "bookwarehouse")
	if err != nil {
		return err
	}
	for _, ns := range apps {
		if err := expect(out, fmt.Sprintf("Namespace [%s] successfully added to mesh [osm]", ns)); err != nil {
			return err
		}
	}
	// Both are needed later and come up while the applications restart.
	if err := s.thiefJoins(ctx); err != nil {
		return err
	}
	if err := s.applyProbers(ctx); err != nil {
		return err
	}
	if err := s.restart(ctx, "2/2", apps...); err != nil {
		return err
	}
	desc, err := s.quiet(ctx, "kubectl", "describe", "pod", "-n", "bookbuyer", "-l", "app=bookbuyer")
	if err != nil {
		return err
	}
	if err := expect(desc, "\n  envoy:"); err != nil {
		return fmt.Errorf("no container named envoy: %w", err)
	}
	s.ok("the pod has a container named envoy")
	if err := s.buyerSays(ctx, "bookbuyer buys, through the mesh", "Identity: bookstore-v1", "Server: envoy", "Status: 200 OK", succeeded); err != nil {
		return err
	}
	if err := s.proberReady(ctx); err != nil {
		return err
	}
	if err := s.outsiderIsReset(ctx); err != nil {
		return err
	}
	return s.captureIsTLS(ctx)
}

// outsiderIsReset calls bookstore in plaintext from a pod without a sidecar.
func (s *Story) outsiderIsReset(ctx context.Context) error {
	out, err := s.quiet(ctx, "kubectl", "exec", "-n", "outside", "prober", "--", "osm-meshtest", "get", storeURL)
	if err == nil || !strings.Contains(err.Error(), "exit status 56") && !strings.Contains(out, "exit code 56") {
		return fmt.Errorf("a plaintext client outside the mesh: want a reset (exit 56), got %w\n%s", err, out)
	}
	s.ok("a plaintext client outside the mesh is reset (exit 56)")
	return nil
}

func (s *Story) deny(ctx context.Context) error {
	return s.change(ctx, "permissive mode off", `^refused`, func() (string, error) {
		return s.run(ctx, "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", s.Namespace,
			"-p", `{"spec":{"traffic":{"enablePermissiveTrafficPolicyMode":false}}}`, "--type=merge")
	}, "meshconfig.config.openservicemesh.io/osm-mesh-config patched", func() error {
		return s.buyerSays(ctx, "bookbuyer is refused, without any restart",
			":14001: connect: connection refused", `is 0; expected 200`)
	})
}

func (s *Story) allow(ctx context.Context) error {
	err := s.change(ctx, "access policy", `^200`, func() (string, error) {
		return s.run(ctx, "kubectl", "apply", "-f", policiesDir+"01-deploy-smi-access-policy.yaml")
	}, "traffictarget.access.smi-spec.io/bookbuyer-access-bookstore created", func() error {
		return s.buyerSays(ctx, "bookbuyer buys again", "Identity: bookstore-v1", "Server: envoy", "Status: 200 OK", succeeded)
	})
	if err != nil {
		return err
	}
	out, err := s.quiet(ctx, "kubectl", "get", "traffictargets,httproutegroups", "-A", "-o", "name")
	if err != nil {
		return err
	}
	if err := expect(out, "bookbuyer-access-bookstore", "bookstore-access-bookwarehouse", "bookstore-service-routes", "bookwarehouse-service-routes"); err != nil {
		return err
	}
	if err := s.notFoundOutsideTheGroup(ctx); err != nil {
		return err
	}
	return s.thiefIsShutOut(ctx)
}

func (s *Story) notFoundOutsideTheGroup(ctx context.Context) error {
	out, err := s.prober(ctx, "get", storeHost+"/not-in-the-route-group")
	if err != nil && !strings.Contains(out, "404") {
		return err
	}
	if err := expect(strings.ToLower(out), "404", "server: envoy"); err != nil {
		return fmt.Errorf("a path outside the route group: %w", err)
	}
	s.ok("a path outside the route group answers 404 from envoy")
	return nil
}

// thiefJoins deploys bookthief into a namespace of the mesh: with a sidecar from the start, and in no policy.
func (s *Story) thiefJoins(ctx context.Context) error {
	if _, err := s.run(ctx, "kubectl", "create", "namespace", "bookthief"); err != nil {
		return err
	}
	if _, err := s.run(ctx, "osm", "namespace", "add", "bookthief"); err != nil {
		return err
	}
	return s.apply(ctx, appsDir+"bookthief.yaml")
}

func (s *Story) thiefIsShutOut(ctx context.Context) error {
	err := s.until(ctx, 60*time.Second, "bookthief is 2/2", func() error { return s.onlyPods(ctx, "bookthief", "2/2") })
	if err != nil {
		return err
	}
	return s.until(ctx, 20*time.Second, "bookthief is shut out", func() error {
		out, err := s.quiet(ctx, "kubectl", "logs", "-n", "bookthief", "deployment/bookthief", "-c", "bookthief", "--since=4s")
		if err != nil {
			return err
		}
		if strings.Contains(out, "200 OK") {
			return fmt.Errorf("bookthief got through:\n%s", indent(last(out, 20)))
		}
		return expect(out, "connection refused")
	})
}
