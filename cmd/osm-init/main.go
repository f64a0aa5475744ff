// Command osm-init redirects the TCP connections of a pod to its sidecar. It runs once, before the application, with the
// capability NET_ADMIN, and reads OSM_REDIRECT (what to redirect, JSON) and POD_IPS or POD_IP (the pod's addresses).
package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/redirect"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	report, err := run(os.Getenv)
	if err != nil {
		log.Error("cannot redirect this pod's connections to its sidecar", "error", err)
		os.Exit(1)
	}
	log.Info("connections are redirected to the sidecar", "ipv4_rules", report.IPv4, "ipv6_rules", report.IPv6, "ipv6_refused", report.IPv6Blocked)
}

func run(env func(string) string) (redirect.Report, error) {
	cfg, err := capture.Parse(env(capture.EnvConfig))
	if err != nil {
		return redirect.Report{}, err
	}
	ips, err := addresses(env("POD_IPS"), env("POD_IP"))
	if err != nil {
		return redirect.Report{}, err
	}
	if cfg.PodIPMode && len(ips) == 0 {
		return redirect.Report{}, fmt.Errorf("POD_IP is empty, and MeshConfig spec.sidecar.localProxyMode PodIP needs the pod's address")
	}
	return redirect.Apply(cfg, ips)
}

// addresses reads the pod's addresses; all of them come first in POD_IPS, the main one alone in POD_IP.
func addresses(all, main string) ([]netip.Addr, error) {
	if all == "" {
		all = main
	}
	var out []netip.Addr
	for s := range strings.SplitSeq(all, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("POD_IPS: %q is not an IP address", s)
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}
