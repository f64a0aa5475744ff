package verify

import (
	"context"
	"fmt"
	"slices"
)

// Call is a call from one pod of the mesh to another by a service.
type Call struct {
	From, To, Service Name
	// Protocol is the application's: http, grpc, tcp or tcp-server-first.
	Protocol string
}

// Connectivity verifies a call within the mesh.
func Connectivity(ctx context.Context, w World, c Call) Result {
	what := fmt.Sprintf("Verify if pod %q can access pod %q for service %q", c.From, c.To, c.Service)
	steps := []Result{w.monitored(ctx, c.From.Namespace)}
	if c.To.Namespace != c.From.Namespace {
		steps = append(steps, w.monitored(ctx, c.To.Namespace))
	}
	steps = append(steps, w.sidecar(ctx, c.From, true), w.sidecar(ctx, c.To, true))
	if done(steps) {
		// Without a sidecar there is no configuration to read.
		return all(what, steps...)
	}
	return all(what, append(steps, w.config(ctx, c))...)
}

// done tells whether a step failed already.
func done(steps []Result) bool {
	return slices.ContainsFunc(steps, func(r Result) bool { return r.Status != Success })
}

func (w World) config(ctx context.Context, c Call) Result {
	what := fmt.Sprintf("Verify Envoy config for traffic: source pod %q, destination pod %q, service %q, app protocol %q", c.From, c.To, c.Service, c.Protocol)
	protocol, err := protocolOf(c.Protocol)
	if err != nil {
		return failure(what, "", "App protocol %q is not supported: %s", c.Protocol, err)
	}
	source, from, err := w.configOf(ctx, c.From)
	if err != nil {
		return unknown(what, "", "Error retrieving Envoy config for pod %q, err: %s", c.From, err)
	}
	destination, to, err := w.configOf(ctx, c.To)
	if err != nil {
		return unknown(what, "", "Error retrieving Envoy config for pod %q, err: %s", c.To, err)
	}
	service, err := w.GetService(ctx, c.Service.Namespace, c.Service.Name)
	if err != nil {
		return failure(what, "", "Destination service %q not found: %s", c.Service, err)
	}
	ports, err := portsOf(service, destination, protocol)
	if err != nil {
		return failure(what, "", "Destination service %q not found: %s", c.Service, err)
	}
	if reason := from.outbound(source, ports); reason != "" {
		return failure(what, "", "%s", reason)
	}
	if reason := to.inbound(destination, ports); reason != "" {
		return failure(what, "", "%s", reason)
	}
	return success(what)
}

// External is a destination outside of the mesh.
type External struct {
	// Host may be empty: any.
	Host string
	Port uint16
	// Protocol is http, https, tcp or tcp-server-first.
	Protocol string
}

func (e External) String() string {
	if e.Host == "" {
		return fmt.Sprintf("*:%d", e.Port)
	}
	return fmt.Sprintf("%s:%d", e.Host, e.Port)
}

// Egress verifies a call out of the mesh.
func Egress(ctx context.Context, w World, from Name, to External) Result {
	what := fmt.Sprintf("Verify if pod %q can access external service on port %d", from, to.Port)
	steps := []Result{w.monitored(ctx, from.Namespace), w.sidecar(ctx, from, true)}
	if done(steps) {
		return all(what, steps...)
	}
	return all(what, append(steps, w.externalConfig(ctx, from, to))...)
}

func (w World) externalConfig(ctx context.Context, from Name, to External) Result {
	what := fmt.Sprintf("Verify Envoy config for traffic: source pod %q, external destination %q, app protocol %q", from, to, to.Protocol)
	source, config, err := w.configOf(ctx, from)
	if err != nil {
		return unknown(what, "", "Error retrieving Envoy config for pod %q, err: %s", from, err)
	}
	if reason := config.external(source, to); reason != "" {
		return failure(what, "", "%s", reason)
	}
	return success(what)
}
