// Package tcproute compiles TCPRoute objects (specs.smi-spec.io/v1alpha4). Input: the objects. Output: the destination
// ports each allows, and findings. It imports the api types and snapshot; no other policy kind.
package tcproute

import (
	"fmt"
	"slices"

	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package compiles.
const Kind = "TCPRoute"

// Key names a route.
type Key struct{ Namespace, Name string }

// Routes maps a route to the target ports it allows, sorted; an empty list allows every port.
type Routes map[Key][]uint16

// Compile compiles every route. A port out of range is left out and reported; a route left with none is dropped, since
// an empty list would open every port.
func Compile(objects []*specs.TCPRoute) (Routes, []snapshot.Finding) {
	routes := make(Routes, len(objects))
	var findings []snapshot.Finding
	for _, o := range objects {
		ports, f := compile(o)
		findings = append(findings, f...)
		if len(ports) == 0 && len(o.Spec.Matches.Ports) > 0 {
			continue
		}
		routes[Key{o.Namespace, o.Name}] = ports
	}
	return routes, findings
}

// Check reports what is wrong with one object by itself.
func Check(o *specs.TCPRoute) []snapshot.Finding {
	_, f := compile(o)
	return f
}

func compile(o *specs.TCPRoute) ([]uint16, []snapshot.Finding) {
	var ports []uint16
	var findings []snapshot.Finding
	for i, p := range o.Spec.Matches.Ports {
		if p < 1 || p > 65535 {
			findings = append(findings, snapshot.Finding{
				Object:   snapshot.ObjectRef{Kind: Kind, Namespace: o.Namespace, Name: o.Name},
				Severity: snapshot.Error, Reason: "InvalidPort",
				Message: fmt.Sprintf("spec.matches.ports[%d]: %d is not a port; use 1 to 65535. The port is ignored", i, p)})
			continue
		}
		ports = append(ports, uint16(p))
	}
	slices.Sort(ports)
	return slices.Compact(ports), findings
}
