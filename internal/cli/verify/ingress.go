package verify

import (
	"context"
	"fmt"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
)

// IngressCall is a call from an ingress controller to a pod of the mesh.
type IngressCall struct {
	// From is the ingress controller's service.
	From, To Name
	// Service is the destination's, Backend the IngressBackend; both are of the destination's namespace.
	Service, Backend string
	// Port is the pod's port.
	Port     uint16
	Protocol string
}

// Ingress verifies a call from an ingress controller.
func Ingress(ctx context.Context, w World, c IngressCall) Result {
	what := fmt.Sprintf("Verify if service %q can access pod %q for app protocol %q via ingress", c.From, c.To, c.Protocol)
	if !strings.EqualFold(c.Protocol, string(meshid.HTTP)) {
		return failure(what, "", "Ingress verifier only supports the following protocol(s): %q", meshid.HTTP)
	}
	steps := []Result{w.monitored(ctx, c.To.Namespace), w.sidecar(ctx, c.To, true)}
	steps = append(steps, w.source(ctx, c.From)...)
	steps = append(steps, w.ingressBackend(ctx, c))
	if done(steps) {
		return all(what, steps...)
	}
	return all(what, append(steps, w.ingressConfig(ctx, c))...)
}

// source verifies the ingress controller: its namespace is monitored, since otherwise the mesh does not see its addresses, and
// its pods have no sidecar.
func (w World) source(ctx context.Context, from Name) []Result {
	steps := []Result{w.monitored(ctx, from.Namespace)}
	what := fmt.Sprintf("Verify if service %q exists", from)
	service, err := w.GetService(ctx, from.Namespace, from.Name)
	if err != nil {
		return append(steps, failure(what, "", "Source service %q not found: %s", from, err))
	}
	pods, err := w.PodsOfService(ctx, service)
	if err != nil {
		return append(steps, unknown(what, "", "Error retrieving pods of service %q, err: %s", from, err))
	}
	for _, p := range pods {
		steps = append(steps, w.sidecar(ctx, Name{p.Namespace, p.Name}, false))
	}
	return steps
}

func (w World) ingressBackend(ctx context.Context, c IngressCall) Result {
	name := Name{c.To.Namespace, c.Backend}
	what := fmt.Sprintf("Verify IngressBackend %q", name)
	object, err := w.GetIngressBackend(ctx, name.Namespace, name.Name)
	if err != nil {
		return failure(what, fmt.Sprintf("Confirm IngressBackend %q exists", name), "Error retrieving IngressBackend %q, err: %s", name, err)
	}
	if len(object.Spec.Backends) == 0 {
		return failure(what, fmt.Sprintf("Add a valid backend for IngressBackend %q", name), "No backends detected for IngressBackend %q", name)
	}
	if !opens(object, c) {
		return failure(what, fmt.Sprintf("Add a backend matching port %d and protocol %s found in IngressBackend %q", c.Port, c.Protocol, name),
			"No backend matching port %d and protocol %s found in IngressBackend %q", c.Port, c.Protocol, name)
	}
	if !admits(object, c.From) {
		return failure(what, fmt.Sprintf("Add a source for service %q in IngressBackend %q", c.From, name),
			"No source matching service %q found in IngressBackend %q", c.From, name)
	}
	return success(what)
}

func opens(object *policyv1.IngressBackend, c IngressCall) bool {
	for _, b := range object.Spec.Backends {
		if b.Name == c.Service && b.Port.Number == int(c.Port) && strings.EqualFold(b.Port.Protocol, c.Protocol) {
			return true
		}
	}
	return false
}

// admits tells whether a source names the service. No source at all means everyone; of ranges of addresses the command cannot
// tell whether the service's pods are in them, so they do not count.
func admits(object *policyv1.IngressBackend, from Name) bool {
	for _, s := range object.Spec.Sources {
		if s.Kind == policyv1.SourceKindService && s.Name == from.Name && s.Namespace == from.Namespace {
			return true
		}
	}
	return len(object.Spec.Sources) == 0
}

func (w World) ingressConfig(ctx context.Context, c IngressCall) Result {
	service := Name{c.To.Namespace, c.Service}
	what := fmt.Sprintf("Verify Envoy config for traffic: source service %q, destination pod %q, service %q, app protocol %q", c.From, c.To, service, c.Protocol)
	pod, config, err := w.configOf(ctx, c.To)
	if err != nil {
		return unknown(what, "", "Error retrieving Envoy config for pod %q, err: %s", c.To, err)
	}
	if _, err := w.GetService(ctx, service.Namespace, service.Name); err != nil {
		return failure(what, "", "Destination service %q not found: %s", service, err)
	}
	p := port{service: meshid.Service{Namespace: service.Namespace, Name: service.Name}, target: c.Port, protocol: meshid.Protocol(strings.ToLower(c.Protocol))}
	if reason := config.ingress(pod, p); reason != "" {
		return failure(what, "", "%s", reason)
	}
	return success(what)
}
