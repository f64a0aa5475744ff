package sim

import (
	"fmt"
	"net/netip"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Proxy is one sidecar's configuration.
type Proxy struct {
	// Principal is the name in the workload's certificate.
	Principal string
	Resources *envoy.Resources
	// Endpoints returns the load assignment of a cluster, or nil.
	Endpoints func(cluster string) *envoy.Resource
}

// Mesh finds the sidecar that takes connections to an address; nil when there is none.
type Mesh func(netip.AddrPort) *Proxy

// Call is one attempt of an application to reach an address.
type Call struct {
	To netip.AddrPort
	// HTTP is the request, or nil for plain TCP.
	HTTP *Request
	// Pick chooses among weighted targets: a number below the sum of the weights. Endpoints are taken in order.
	Pick uint32
}

// Request is an HTTP request.
type Request struct {
	Method, Path, Host string
	// Headers have lower-case names.
	Headers map[string]string
}

// End is how a call ends, as its caller sees it.
type End string

// The ends of a call.
const (
	// Refused: nothing listens (curl 7).
	Refused End = "refused"
	// Reset: accepted, then closed (curl 52 or 56).
	Reset End = "reset"
	// Passthrough: sent on to where it was going, without the mesh.
	Passthrough End = "passthrough"
	// Answered: an HTTP answer, with a Code. 200 stands for the application's own.
	Answered End = "answered"
	// Connected: TCP bytes flow.
	Connected End = "connected"
)

// Outcome is the end of a call and what decided it.
type Outcome struct {
	End  End
	Code int
	// By is the listener, chain, route config or rule that decided, for people.
	By string
	// Cluster is the client's cluster that was chosen, if it came to that.
	Cluster string
}

func (o Outcome) String() string {
	if o.End == Answered {
		return fmt.Sprintf("%s %d", o.End, o.Code)
	}
	return string(o.End)
}

// FromMesh follows a call of an application that has a sidecar.
func FromMesh(client *Proxy, mesh Mesh, call Call) (Outcome, error) {
	l, err := outboundListener(client.Resources)
	if err != nil || l == nil {
		return Outcome{End: Refused, By: "no outbound listener"}, err
	}
	chain := l.byDestination(call.To)
	if chain == nil {
		if l.passthrough {
			return Outcome{End: Passthrough, By: "default filter chain"}, nil
		}
		return Outcome{End: Reset, By: "no outbound filter chain matches " + call.To.String()}, nil
	}
	req := call.HTTP
	if chain.http && req == nil {
		req = &Request{Method: "GET", Path: "/", Headers: map[string]string{}}
	}
	targets := chain.tcp
	if chain.http {
		route, err := findRoute(client.Resources, chain.routeConfig, *req)
		if err != nil {
			return Outcome{}, err
		}
		if route == nil {
			return Outcome{End: Answered, Code: 404, By: "client: " + chain.routeConfig}, nil
		}
		targets = route.targets
	}
	cluster := pick(targets, call.Pick)
	out, err := toCluster(client, mesh, cluster, chain.http, req)
	out.Cluster = cluster
	return out, err
}

// toCluster follows a call from the client's cluster to a server's sidecar.
func toCluster(client *Proxy, mesh Mesh, cluster string, http bool, req *Request) (Outcome, error) {
	failed := Outcome{End: Reset}
	if http {
		failed = Outcome{End: Answered, Code: 503}
	}
	up, err := upstream(client.Resources, cluster)
	if err != nil {
		return Outcome{}, err
	}
	addr, ok, err := firstEndpoint(client.Endpoints(cluster))
	if err != nil {
		return Outcome{}, err
	}
	if !ok {
		failed.By = "no endpoints of " + cluster
		return failed, nil
	}
	server := mesh(addr)
	if server == nil {
		failed.By = "no sidecar at " + addr.String()
		return failed, nil
	}
	if !up.accepts(server.Principal) {
		failed.By = "certificate of " + server.Principal + " is not accepted for " + cluster
		return failed, nil
	}
	out, err := atServer(server, client.Principal, up.serverName, addr, req)
	if http && out.End == Reset {
		out.End, out.Code = Answered, 503
	}
	return out, err
}

// FromOutside follows a plaintext connection of somebody without a sidecar to a pod of the mesh. The inbound listener
// has chains for the mesh's TLS only.
func FromOutside(server *Proxy) (Outcome, error) {
	l, err := inboundListener(server.Resources)
	if err != nil {
		return Outcome{}, err
	}
	if l == nil {
		return Outcome{End: Refused, By: "no inbound listener"}, nil
	}
	for _, c := range l.chains {
		if !c.tls {
			return Outcome{End: Connected, By: c.name}, nil
		}
	}
	return Outcome{End: Reset, By: "no inbound filter chain takes plaintext"}, nil
}

// atServer follows a mesh connection into the server's sidecar.
func atServer(server *Proxy, principal, sni string, addr netip.AddrPort, req *Request) (Outcome, error) {
	l, err := inboundListener(server.Resources)
	if err != nil {
		return Outcome{}, err
	}
	if l == nil {
		return Outcome{End: Reset, By: "server: no inbound listener"}, nil
	}
	chain := l.byServerName(addr.Port(), sni)
	if chain == nil {
		return Outcome{End: Reset, By: "server: no inbound filter chain for " + sni}, nil
	}
	if chain.access != nil {
		if ok, _ := chain.access.allowsConnection(principal, addr.Port()); !ok {
			return Outcome{End: Reset, By: "server: " + chain.name + " admits no such principal"}, nil
		}
	}
	if !chain.http {
		return Outcome{End: Connected, By: chain.name}, nil
	}
	route, err := findRoute(server.Resources, chain.routeConfig, *req)
	if err != nil {
		return Outcome{}, err
	}
	if route == nil {
		return Outcome{End: Answered, Code: 404, By: "server: " + chain.routeConfig}, nil
	}
	if route.access != nil {
		ok, by := route.access.allowsRequest(principal, *req)
		if !ok {
			return Outcome{End: Answered, Code: 403, By: "server: " + route.host}, nil
		}
		return Outcome{End: Answered, Code: 200, By: by}, nil
	}
	return Outcome{End: Answered, Code: 200, By: route.host}, nil
}

func firstEndpoint(r *envoy.Resource) (netip.AddrPort, bool, error) {
	if r == nil {
		return netip.AddrPort{}, false, nil
	}
	m := &endpointv3.ClusterLoadAssignment{}
	if err := r.Body.UnmarshalTo(m); err != nil {
		return netip.AddrPort{}, false, err
	}
	for _, l := range m.Endpoints {
		for _, e := range l.LbEndpoints {
			sa := e.GetEndpoint().GetAddress().GetSocketAddress()
			ip, err := netip.ParseAddr(sa.GetAddress())
			return netip.AddrPortFrom(ip, uint16(sa.GetPortValue())), err == nil, err
		}
	}
	return netip.AddrPort{}, false, nil
}

func pick(targets []target, n uint32) string {
	for _, t := range targets {
		if n < t.weight {
			return t.cluster
		}
		n -= t.weight
	}
	return targets[len(targets)-1].cluster
}
