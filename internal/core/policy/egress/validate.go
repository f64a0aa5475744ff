package egress

import (
	"errors"
	"fmt"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
)

// Kind is the kind this package judges.
const Kind = "Egress"

// Validate says why an object is refused at admission; nil when it is not. Users and scripts know the texts.
//
//nolint:staticcheck // the texts begin with capitals since the original's do
func Validate(o *policyv1.Egress) error {
	groups := []string{specs.GroupVersion.String(), policyv1.GroupVersion.String()}
	settings := 0
	for _, m := range o.Spec.Matches {
		switch m.APIGroup {
		case groups[0]:
			if m.Kind != specs.KindHTTPRouteGroup {
				return wrongKind(m, specs.KindHTTPRouteGroup)
			}
		case groups[1]:
			if m.Kind != policyv1.KindUpstreamTrafficSetting {
				return wrongKind(m, policyv1.KindUpstreamTrafficSetting)
			}
			settings++
		default:
			return fmt.Errorf("Expected 'matches.apiGroup' to be one of %v, got: %s", groups, m.APIGroup)
		}
	}
	if settings > 1 {
		return errors.New("Cannot have more than 1 UpstreamTrafficSetting match")
	}
	for i, h := range o.Spec.Hosts {
		if _, err := parseHost(h); err != nil {
			return fmt.Errorf("spec.hosts[%d]: %w", i, err)
		}
	}
	for i, r := range o.Spec.IPAddresses {
		if _, err := parseRange(r); err != nil {
			return fmt.Errorf("spec.ipAddresses[%d]: %w", i, err)
		}
	}
	return nil
}

func wrongKind(m policyv1.Reference, want string) error {
	return fmt.Errorf("Expected 'matches.kind' for match '%s' to be '%s', got: %s", m.Name, want, m.Kind) //nolint:staticcheck // as above
}
