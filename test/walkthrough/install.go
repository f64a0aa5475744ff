package walkthrough

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/testkit/figure"
)

var installBar = figure.Bar{What: "ready", Limit: 15 * time.Second}

// clean removes what an earlier telling left.
func (s *Story) clean(ctx context.Context) error {
	if _, err := s.quiet(ctx, "kubectl", "get", "nodes"); err != nil {
		return fmt.Errorf("no cluster to be reached: %w", err)
	}
	for _, ns := range []string{"osm-system", "arc-osm-system"} {
		if _, err := s.quiet(ctx, "kubectl", "get", "deployment", "osm-controller", "-n", ns); err == nil {
			if _, err := s.run(ctx, "osm", "uninstall", "mesh", "-f", "--delete-namespace", "--osm-namespace", ns); err != nil {
				return err
			}
		}
	}
	args := append([]string{"delete", "namespace", "--ignore-not-found"}, everything...)
	if _, err := s.quiet(ctx, "kubectl", append(args, "--wait=false")...); err != nil {
		return err
	}
	// Nobody is served any more, so nobody has to be waited for.
	for _, ns := range everything {
		_, _ = s.quiet(ctx, "kubectl", "delete", "pods", "--all", "-n", ns, "--grace-period=0", "--force", "--wait=false")
	}
	_, err := s.quiet(ctx, "kubectl", append(args, "--wait", "--timeout=90s")...)
	s.ok("no mesh and no applications")
	return err
}

// everything is each namespace that a telling makes.
var everything = []string{"bookbuyer", "bookstore", "bookwarehouse", "bookthief", "outside", "osm-system", "arc-osm-system"}

func (s *Story) install(ctx context.Context) error {
	args := []string{"install", "--osm-namespace", s.Namespace}
	if s.Managed {
		args = append(args, "--values", "charts/osm/values-managed.yaml")
	} else {
		args = append(args, "--set=osm.enableEgress=false")
	}
	if s.Registry != "" {
		args = append(args, "--set=osm.image.registry="+s.Registry)
	}
	began := time.Now()
	out, err := s.run(ctx, "osm", args...)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if err := expect(out, fmt.Sprintf("OSM installed successfully in namespace [%s] with mesh name [osm]", s.Namespace)); err != nil {
		return err
	}
	words, err := installBar.Judge(took)
	if err != nil {
		return err
	}
	s.ok("%s", words)
	return errors.Join(s.checkControlPlane(ctx), s.checkMeshConfig(ctx), s.checkUpgradeKeeps(ctx))
}

func (s *Story) checkControlPlane(ctx context.Context) error {
	out, err := s.run(ctx, "kubectl", "get", "deployments", "-n", s.Namespace)
	if err != nil {
		return err
	}
	for _, d := range []string{"osm-bootstrap", "osm-controller", "osm-injector"} {
		if !hasRow(out, d, "1/1") {
			return fmt.Errorf("deployment %s is not 1/1", d)
		}
	}
	services, err := s.run(ctx, "kubectl", "get", "services", "-n", s.Namespace, "-o",
		`jsonpath={range .items[*]}{.metadata.name}{" "}{.spec.ports[*].port}{"\n"}{end}`)
	if err != nil {
		return err
	}
	health := "9091"
	if s.Managed {
		health = "9095"
	}
	if err := expect(services, "osm-bootstrap 9443 "+health, "osm-controller 15128 9092 9091", "osm-injector 9090", "osm-validator 9093"); err != nil {
		return err
	}
	s.ok("deployments 1/1, services on their ports")
	return nil
}

func (s *Story) checkMeshConfig(ctx context.Context) error {
	out, err := s.show(ctx, 60, "kubectl", "describe", "meshconfig", "osm-mesh-config", "-n", s.Namespace)
	if err != nil {
		return err
	}
	flat := strings.Join(strings.Fields(out), " ")
	if err := expect(flat, "config.openservicemesh.io/v1alpha2", "Enable Egress: false", "Enable Permissive Traffic Policy Mode: true"); err != nil {
		return err
	}
	s.ok("MeshConfig v1alpha2: egress off, permissive mode on")
	return nil
}

// checkUpgradeKeeps changes a value, upgrades, and finds the value again.
func (s *Story) checkUpgradeKeeps(ctx context.Context) error {
	if _, err := s.run(ctx, "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", s.Namespace, "--type=merge",
		"-p", `{"spec":{"sidecar":{"logLevel":"warning"}}}`); err != nil {
		return err
	}
	out, err := s.run(ctx, "osm", "mesh", "upgrade", "--osm-namespace", s.Namespace)
	if err != nil {
		return err
	}
	if err := expect(out, fmt.Sprintf("OSM successfully upgraded mesh [osm] in namespace [%s]", s.Namespace)); err != nil {
		return err
	}
	level, err := s.cluster.Output(ctx, "kubectl", "get", "meshconfig", "osm-mesh-config", "-n", s.Namespace, "-o", "jsonpath={.spec.sidecar.logLevel}")
	if err != nil || level != "warning" {
		return errors.Join(err, fmt.Errorf("after the upgrade spec.sidecar.logLevel is %q, want the changed value \"warning\"", level))
	}
	s.ok("a changed MeshConfig value survives `osm mesh upgrade`")
	return nil
}

// hasRow reports whether a table has a row that starts with name and has cell as its second column.
func hasRow(table, name, cell string) bool {
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == name && f[1] == cell {
			return true
		}
	}
	return false
}

func (s *Story) remove(ctx context.Context) error {
	out, err := s.run(ctx, "osm", "uninstall", "mesh", "-f", "--osm-namespace", s.Namespace)
	if err != nil {
		return err
	}
	if err := expect(out, fmt.Sprintf("OSM [mesh name: osm] in namespace [%s] uninstalled", s.Namespace)); err != nil {
		return err
	}
	pods, err := s.run(ctx, "kubectl", "get", "pods", "-n", "bookbuyer", "-l", "app=bookbuyer")
	if err != nil {
		return err
	}
	if err := expect(pods, "Running"); err != nil {
		return fmt.Errorf("the applications do not run any more: %w", err)
	}
	s.ok("the applications are left running")
	if err := s.restart(ctx, "1/1", append([]string{"bookthief"}, apps...)...); err != nil {
		return err
	}
	return s.buyerSays(ctx, "works without the mesh again", "Server: n/a", "Status: 200 OK", succeeded)
}
