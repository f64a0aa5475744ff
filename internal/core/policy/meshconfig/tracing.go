package meshconfig

import (
	"fmt"
	"strings"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Tracing reads where spans go; nil when tracing is off, or when what MeshConfig says makes no sense.
func Tracing(c *config.MeshConfig) *snapshot.Tracing {
	t, problems := tracing(c)
	if len(problems) > 0 {
		return nil
	}
	return t
}

// tracing reads spec.observability.tracing with its defaults, and lists what is wrong with it.
func tracing(c *config.MeshConfig) (*snapshot.Tracing, []string) {
	in := c.Spec.Observability.Tracing
	if !in.Enable {
		return nil, nil
	}
	out := &snapshot.Tracing{Address: in.Address, Port: names.DefaultTracingPort, Path: in.Endpoint}
	if out.Address == "" {
		out.Address = names.DefaultTracingService + "." + c.Namespace + ".svc.cluster.local"
	}
	if out.Path == "" {
		out.Path = names.DefaultTracingPath
	}
	const field = "spec.observability.tracing"
	var problems []string
	if why := addressError(out.Address); why != "" {
		problems = append(problems, fmt.Sprintf("%s.address: %q %s", field, in.Address, why))
	}
	if in.Port < 0 || in.Port > 65535 {
		problems = append(problems, fmt.Sprintf("%s.port: %d is not a port; use 1 to 65535", field, in.Port))
	} else if in.Port != 0 {
		out.Port = uint16(in.Port)
	}
	if !strings.HasPrefix(out.Path, "/") || strings.ContainsFunc(out.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		problems = append(problems, fmt.Sprintf("%s.endpoint: %q is not the path of a URL; write one such as %s", field, in.Endpoint, names.DefaultTracingPath))
	}
	return out, problems
}

func tracingFindings(c *config.MeshConfig) []snapshot.Finding {
	var out []snapshot.Finding
	_, problems := tracing(c)
	for _, p := range problems {
		out = append(out, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.Namespace, Name: c.Name},
			Severity: snapshot.Error, Reason: "InvalidTracing", Message: p + "; no spans are sent"})
	}
	return out
}
