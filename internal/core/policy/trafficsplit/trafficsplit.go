// Package trafficsplit compiles TrafficSplit objects (split.smi-spec.io, every version). Input: the objects and the services
// of the snapshot. Output: the weighted backends of each apex service, and findings. It imports the api types, meshid
// and snapshot; no other policy kind.
package trafficsplit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package compiles.
const Kind = "TrafficSplit"

// Backend is a service and its share.
type Backend struct {
	Service meshid.Service
	Weight  uint32
}

// Splits maps an apex service to its backends, sorted by service. The weights of one apex sum to at least 1.
type Splits map[meshid.Service][]Backend

// Lookup finds services of the snapshot.
type Lookup struct {
	Exists func(meshid.Service) bool
	// Ports returns the ports of a service that the mesh carries.
	Ports func(meshid.Service) []snapshot.ServicePort
}

// Compile compiles every object, in order; the first split of an apex wins. A split that cannot be compiled is ignored
// alone: the apex then stands for itself.
func Compile(objects []*split.TrafficSplit, services Lookup) (Splits, []snapshot.Finding) {
	splits := Splits{}
	owner := map[meshid.Service]string{}
	var findings []snapshot.Finding
	for _, o := range objects {
		c := compiler{object: o, services: services}
		apex, backends, ok := c.compile()
		if first, taken := owner[apex]; ok && taken {
			c.report(snapshot.Error, "E2007", "DuplicateApex",
				"spec.service: %s is already split by %s, which counts; remove one of the two", apex, first)
		} else if ok {
			splits[apex], owner[apex] = backends, o.Namespace+"/"+o.Name
		}
		findings = append(findings, c.findings...)
	}
	return splits, findings
}

type compiler struct {
	object   *split.TrafficSplit
	services Lookup
	findings []snapshot.Finding
}

func (c *compiler) report(s snapshot.Severity, code, reason, format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.object.Namespace, Name: c.object.Name},
		Severity: s, Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compile() (meshid.Service, []Backend, bool) {
	o := c.object
	apex, err := Root(o)
	if err != nil {
		c.report(snapshot.Error, "", "InvalidService", "spec.service: %v", err)
		return meshid.Service{}, nil, false
	}
	if !c.services.Exists(apex) {
		c.report(snapshot.Error, "", "ServiceNotFound",
			"spec.service: Service %s does not exist in a namespace of the mesh; clients need it to resolve the name", apex)
		return apex, nil, false
	}
	var backends []Backend
	var sum uint64
	for i, b := range o.Spec.Backends {
		id := meshid.Service{Namespace: o.Namespace, Name: b.Service}
		if !c.services.Exists(id) {
			c.report(snapshot.Warning, "", "BackendNotFound",
				"spec.backends[%d].service: Service %s does not exist; its share goes to the others", i, id)
			continue
		}
		if b.Weight < 0 {
			c.report(snapshot.Error, "", "InvalidWeight", "spec.backends[%d].weight: %d is negative; the backend is ignored", i, b.Weight)
			continue
		}
		sum += uint64(b.Weight)
		backends = append(backends, Backend{Service: id, Weight: uint32(b.Weight)})
	}
	if sum == 0 || sum > 1<<32-1 {
		c.report(snapshot.Error, "", "InvalidWeights",
			"spec.backends: the weights of the existing backends sum to %d; they must sum to 1 or more (and less than 2^32)", sum)
		return apex, nil, false
	}
	backends = merge(backends)
	c.checkPorts(apex, backends)
	return apex, backends, true
}

// checkPorts reports backends that cannot take their share of a port of the apex.
func (c *compiler) checkPorts(apex meshid.Service, backends []Backend) {
	for _, port := range c.services.Ports(apex) {
		for _, b := range backends {
			if _, ok := BackendPort(c.services.Ports(b.Service), port); !ok && b.Weight > 0 {
				c.report(snapshot.Warning, "", "BackendPortNotFound",
					"spec.backends: Service %s has no port %d of the same kind (%s) as %s; its share of that port goes to the others",
					b.Service, port.Port, port.Protocol, apex)
			}
		}
	}
}

// BackendPort finds the port of a backend that takes the share of an apex's port: the one of the same number. Requests
// cannot be sent to a port that takes bytes, nor bytes to one that takes requests.
func BackendPort(backend []snapshot.ServicePort, apex snapshot.ServicePort) (snapshot.ServicePort, bool) {
	for _, p := range backend {
		if p.Port == apex.Port && p.Protocol.IsHTTP() == apex.Protocol.IsHTTP() {
			return p, true
		}
	}
	return snapshot.ServicePort{}, false
}

// merge adds up the shares of a backend that is listed twice.
func merge(in []Backend) []Backend {
	slices.SortStableFunc(in, func(a, b Backend) int { return cmp.Or(a.Service.Compare(b.Service)) })
	var out []Backend
	for _, b := range in {
		if n := len(out); n > 0 && out[n-1].Service == b.Service {
			out[n-1].Weight += b.Weight
			continue
		}
		out = append(out, b)
	}
	return out
}

// zone ends the fully qualified name of a Service; users write any beginning of it.
const zone = "svc.cluster.local"

// Root returns the apex service: spec.service is its name alone, or followed by the namespace, up to the fully
// qualified name. The namespace must be the split's own.
func Root(o *split.TrafficSplit) (meshid.Service, error) {
	id := meshid.Service{Namespace: o.Namespace}
	parts := strings.Split(strings.TrimSuffix(o.Spec.Service, "."), ".")
	id.Name = parts[0]
	if id.Name == "" {
		return id, fmt.Errorf("%q names no Service", o.Spec.Service)
	}
	if len(parts) > 1 && parts[1] != o.Namespace {
		return id, fmt.Errorf("%q is in namespace %q; a TrafficSplit splits a Service of its own namespace (%q)",
			o.Spec.Service, parts[1], o.Namespace)
	}
	rest := strings.Join(parts[min(2, len(parts)):], ".")
	if rest != "" && zone != rest && !strings.HasPrefix(zone, rest+".") {
		return id, fmt.Errorf("%q is not the name of a Service; use %q or %q", o.Spec.Service, id.Name, id.FQDN())
	}
	return id, nil
}
