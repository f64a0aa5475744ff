package ingressbackend

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
)

// Kind is the kind this package judges.
const Kind = "IngressBackend"

type backend struct {
	service string
	port    int
}

// Validate says why an object is refused at admission; nil when it is not. others are the IngressBackends there are, of any
// namespace: a backend is a Service of its object's own namespace, so only objects of one namespace can contradict each
// other. Users and scripts know the texts.
//
//nolint:staticcheck // the texts begin with capitals since the original's do
func Validate(o *policyv1.IngressBackend, others []*policyv1.IngressBackend) error {
	mine := map[backend]bool{}
	for _, b := range o.Spec.Backends {
		key := backend{b.Name, b.Port.Number}
		if mine[key] {
			return fmt.Errorf("Duplicate backends detected with service name: %s and port: %d", b.Name, b.Port.Number)
		}
		mine[key] = true
		if err := validateProtocol(o, b); err != nil {
			return err
		}
	}
	for _, s := range o.Spec.Sources {
		if err := validateSource(s); err != nil {
			return err
		}
	}
	return conflicts(o, mine, others)
}

//nolint:staticcheck // see Validate
func validateProtocol(o *policyv1.IngressBackend, b policyv1.IngressBackendService) error {
	switch strings.ToLower(b.Port.Protocol) {
	case "http":
		return nil
	case "https":
	default:
		return fmt.Errorf("Expected 'port.protocol' to be 'http' or 'https', got: %s", b.Port.Protocol)
	}
	if b.TLS != nil && b.TLS.SkipClientCertValidation {
		return nil
	}
	for _, s := range o.Spec.Sources {
		if s.Kind == policyv1.SourceKindAuthenticatedPrincipal {
			return nil
		}
	}
	return errors.New("HTTPS ingress with client certificate validation enabled must specify at least one 'AuthenticatedPrincipal` source")
}

//nolint:staticcheck // see Validate
func validateSource(s policyv1.IngressSource) error {
	switch s.Kind {
	case policyv1.SourceKindService:
		if s.Name == "" {
			return fmt.Errorf("'source.name' not specified for source kind %s", s.Kind)
		}
		if s.Namespace == "" {
			return fmt.Errorf("'source.namespace' not specified for source kind %s", s.Kind)
		}
	case policyv1.SourceKindAuthenticatedPrincipal:
		if s.Name == "" {
			return fmt.Errorf("'source.name' not specified for source kind %s", s.Kind)
		}
	case policyv1.SourceKindIPRange:
		if _, err := netip.ParsePrefix(s.Name); err != nil {
			return fmt.Errorf("Invalid 'source.name' value specified for IPRange. Expected CIDR notation 'a.b.c.d/x', got '%s'", s.Name)
		}
	default:
		return fmt.Errorf("Invalid 'source.kind' value specified. Must be one of: %s, %s, %s",
			policyv1.SourceKindService, policyv1.SourceKindAuthenticatedPrincipal, policyv1.SourceKindIPRange)
	}
	return nil
}

func conflicts(o *policyv1.IngressBackend, mine map[backend]bool, others []*policyv1.IngressBackend) error {
	found := conflictsWith(o, mine, others)
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("duplicate backends detected\n%s", strings.Join(found, ""))
}

// Conflicts tells, for each of others that opens a port of a service which o opens too, which ones; each text ends a line.
func Conflicts(o *policyv1.IngressBackend, others []*policyv1.IngressBackend) []string {
	mine := map[backend]bool{}
	for _, b := range o.Spec.Backends {
		mine[backend{b.Name, b.Port.Number}] = true
	}
	return conflictsWith(o, mine, others)
}

func conflictsWith(o *policyv1.IngressBackend, mine map[backend]bool, others []*policyv1.IngressBackend) []string {
	var found []string
	for _, other := range others {
		if other.Namespace != o.Namespace || other.Name == o.Name {
			continue
		}
		var lines strings.Builder
		for _, b := range other.Spec.Backends {
			if mine[backend{b.Name, b.Port.Number}] {
				fmt.Fprintf(&lines, "Backend %s specified in %s and %s conflicts\n", b.Name, o.Name, other.Name)
			}
		}
		if lines.Len() > 0 {
			found = append(found, fmt.Sprintf("[+] IngressBackend %s/%s conflicts with %s/%s:\n%s", o.Namespace, o.Name, other.Namespace, other.Name, lines.String()))
		}
	}
	return found
}
