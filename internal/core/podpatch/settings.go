package podpatch

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
)

// Settings are the mesh's side of an injection: the MeshConfig, the chart's defaults and the mesh's root.
type Settings struct {
	Mesh   Mesh
	Images Images
	// PullPolicy of the init and health-check containers; the sidecar's is IfNotPresent.
	PullPolicy corev1.PullPolicy
	// NativeSidecar starts the sidecar as an init container that keeps running.
	NativeSidecar bool
	// PreStopSleep is whether the cluster knows the lifecycle action "sleep", with which a classic sidecar outlives the
	// application that is stopped at the same time.
	PreStopSleep bool
	// PrivilegedInit makes osm-init privileged.
	PrivilegedInit bool
	// LogLevel is Envoy's; Verbosity the health-check helper's.
	LogLevel, Verbosity string
	// Resources of the envoy container.
	Resources corev1.ResourceRequirements
	// Traffic lists that hold for every pod; a pod's annotations add to them.
	Traffic Traffic
	// PodIPMode is MeshConfig's localProxyMode PodIP.
	PodIPMode bool
	// ADSName is the name in the ADS server's certificate, RootPEM the certificate it is checked against.
	ADSName, RootPEM string
	TLS              bootstrap.TLSParams
	// DualStack makes the sidecar's own listeners accept IPv6.
	DualStack bool
}

// Images of the containers.
type Images struct {
	Envoy, EnvoyWindows, Init, Healthcheck string
}

// Traffic lists as users write them.
type Traffic struct {
	OutboundPorts, InboundPorts        []int
	OutboundRanges, OutboundRangesOnly []string
	Interfaces                         []string
}

// union adds the pod's annotations to the mesh's lists. Every error names the key and the value.
func (t Traffic) union(annotations map[string]string) (capture.Config, error) {
	var c capture.Config
	var err error
	ports := func(global []int, field, key string) (out []uint16) {
		for _, p := range global {
			n, ok := portOf(strconv.Itoa(p))
			if !ok {
				err = first(err, fmt.Errorf("MeshConfig spec.traffic.%s: %d is not a port, use 1 to 65535", field, p))
			}
			out = append(out, n)
		}
		for _, s := range items(annotations[key]) {
			n, ok := portOf(s)
			if !ok {
				err = first(err, fmt.Errorf("Invalid annotation value for key %q: %q is not a port; use a comma separated list of numbers from 1 to 65535", key, s))
			}
			out = append(out, n)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	ranges := func(global []string, field, key string) (out []netip.Prefix) {
		for _, s := range global {
			p, e := netip.ParsePrefix(s)
			if e != nil {
				err = first(err, fmt.Errorf("MeshConfig spec.traffic.%s: %q is not an IP range, use CIDR notation such as 10.0.0.0/8", field, s))
			}
			out = append(out, p.Masked())
		}
		for _, s := range items(annotations[key]) {
			p, e := netip.ParsePrefix(s)
			if e != nil {
				err = first(err, fmt.Errorf("Invalid annotation value for key %q: %q is not an IP range; use a comma separated list in CIDR notation such as 10.0.0.0/8", key, s))
			}
			out = append(out, p.Masked())
		}
		slices.SortFunc(out, netip.Prefix.Compare)
		return slices.Compact(out)
	}
	c.OutboundPorts = ports(t.OutboundPorts, "outboundPortExclusionList", names.AnnotationOutPorts)
	c.InboundPorts = ports(t.InboundPorts, "inboundPortExclusionList", names.AnnotationInPorts)
	c.OutboundRanges = ranges(t.OutboundRanges, "outboundIPRangeExclusionList", names.AnnotationOutRanges)
	c.OutboundRangesOnly = ranges(t.OutboundRangesOnly, "outboundIPRangeInclusionList", names.AnnotationOutRangesOnly)
	c.Interfaces = slices.Clone(t.Interfaces)
	slices.Sort(c.Interfaces)
	c.Interfaces = slices.Compact(c.Interfaces)
	if err != nil {
		return capture.Config{}, err
	}
	if err := c.Validate(); err != nil {
		return capture.Config{}, fmt.Errorf("MeshConfig spec.traffic: %w", err)
	}
	return c, nil
}

// items splits a comma separated list; a blank value is an empty list, an empty item between commas is an item.
func items(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	out := strings.Split(s, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func portOf(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
