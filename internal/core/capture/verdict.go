package capture

import (
	"net/netip"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/names"
)

// Connection is the first packet of a TCP connection.
type Connection struct {
	// Interface it leaves by (outbound) or enters by (inbound).
	Interface string
	// UID of the process that opened it; outbound only.
	UID  uint32
	Dst  netip.Addr
	Port uint16
}

// Entering returns what happens to a connection that enters the pod.
func (r Rules) Entering(c Connection) Action { return first(r.Inbound, c) }

// Leaving returns what happens to a connection that a process of the pod opens.
func (r Rules) Leaving(c Connection) Action { return first(r.Outbound, c) }

func first(rules []Rule, c Connection) Action {
	for _, r := range rules {
		if r.matches(c) {
			return r.Action
		}
	}
	return Action{Kind: Pass}
}

func (r Rule) matches(c Connection) bool {
	sidecar := c.UID == names.SidecarUID
	switch {
	case r.InInterface != "" && !interfaceMatches(r.InInterface, c.Interface),
		r.OutInterface != "" && !interfaceMatches(r.OutInterface, c.Interface),
		r.UID == IsSidecar && !sidecar,
		r.UID == NotSidecar && sidecar,
		r.Dst.IsValid() && !r.Dst.Contains(c.Dst),
		r.NotDst.IsValid() && r.NotDst.Contains(c.Dst),
		len(r.Ports) > 0 && !slices.Contains(r.Ports, c.Port),
		slices.Contains(r.NotPorts, c.Port):
		return false
	}
	return true
}

func interfaceMatches(pattern, name string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "+"); wild {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// Answers reports whether a process of uid may answer callers from outside the pod on a port.
func (r Rules) Answers(uid uint32, port uint16) bool {
	return uid == names.SidecarUID || !slices.Contains(r.Guarded, port)
}
