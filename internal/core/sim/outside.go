package sim

import (
	"fmt"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"openservicemesh.io/osm/internal/core/envoy"
)

// hello is what the application says first, as inspectors see it.
func (c Call) hello() hello {
	switch {
	case c.TLS:
		return hello{tls: true, sni: c.ServerName, alpn: []string{"h2", "http/1.1"}}
	case c.HTTP != nil:
		return hello{alpn: []string{"http/1.1"}}
	}
	return hello{}
}

// leaves follows a call whose cluster is outside of the mesh; false when it is not.
func leaves(set *envoy.Resources, cluster string, c *chain, req *Request) (Outcome, bool, error) {
	r := set.Get(envoy.Cluster, cluster)
	if r == nil {
		return Outcome{}, false, fmt.Errorf("cluster %s is referred to but not among the resources", cluster)
	}
	m := &clusterv3.Cluster{}
	if err := r.Body().UnmarshalTo(m); err != nil {
		return Outcome{}, false, err
	}
	out := Outcome{By: c.name, Cluster: cluster}
	switch {
	case m.GetType() == clusterv3.Cluster_ORIGINAL_DST:
		out.End = Passthrough
	case m.GetClusterType() != nil, m.GetType() == clusterv3.Cluster_STATIC:
		// A name that DNS knows, an address, or none of either.
		switch {
		case len(m.GetLoadAssignment().GetEndpoints()) == 0:
			out.End = Reset
		case c.http:
			out.End, out.Code, out.Path = Answered, 200, req.Path
		default:
			out.End = Connected
		}
	default:
		return Outcome{}, false, nil
	}
	return out, true, nil
}

// Stranger is a client without a sidecar.
type Stranger struct {
	// From is its address.
	From netip.Addr
	// TLS is whether it opens with a TLS handshake; ServerName and ALPN are what it says in it.
	TLS        bool
	ServerName string
	ALPN       string
	// Principal is the name in the certificate of the mesh that it has, as an ingress controller may; empty without one.
	Principal string
	// HTTP is what it requests, or nil.
	HTTP *Request
	// Around is what the server's sidecar finds around it.
	Around Around
}

// FromOutside follows a connection of somebody without a sidecar to a port of a pod of the mesh.
func FromOutside(server *Proxy, to netip.AddrPort, who Stranger) (Outcome, error) {
	l, err := inboundListener(server.Resources)
	if err != nil {
		return Outcome{}, err
	}
	if l == nil {
		return Outcome{End: Refused, By: "no inbound listener"}, nil
	}
	hello := hello{tls: who.TLS, sni: who.ServerName, from: who.From}
	if who.ALPN != "" {
		hello.alpn = []string{who.ALPN}
	}
	chain := l.find(to, hello)
	switch {
	case chain == nil:
		return Outcome{End: Reset, By: "no inbound filter chain takes it"}, nil
	case chain.tls != nil && !who.TLS:
		return Outcome{End: Reset, By: chain.name + " wants TLS"}, nil
	case chain.tls != nil && chain.tls.clientCert && (who.Principal == "" || !chain.tls.trust.accepts(who.Principal)):
		return Outcome{End: Reset, By: chain.name + " wants a certificate of the mesh"}, nil
	}
	if chain.access != nil {
		if ok, _ := chain.access.allowsConnection(who.Principal, to.Port()); !ok || who.Principal == "" {
			return Outcome{End: Reset, By: chain.name + " admits no such principal"}, nil
		}
	}
	if !chain.http || who.HTTP == nil {
		return Outcome{End: Connected, By: chain.name}, nil
	}
	route, err := findRoute(server.Resources, chain.routeConfig, *who.HTTP)
	if err != nil {
		return Outcome{}, err
	}
	if route == nil {
		return Outcome{End: Answered, Code: 404, By: chain.routeConfig}, nil
	}
	if route.access != nil {
		if ok, _ := route.access.allowsRequest(who.Principal, *who.HTTP); !ok {
			return Outcome{End: Answered, Code: 403, By: route.host}, nil
		}
	}
	if code, why := chain.limits.request(*route, who.Around); code != 0 {
		return Outcome{End: Answered, Code: code, By: "server: " + why, Held: true}, nil
	}
	return Outcome{End: Answered, Code: 200, By: chain.name, Path: who.HTTP.Path, Cluster: pick(route.targets, 0)}, nil
}
