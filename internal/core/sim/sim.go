package sim

import (
	"fmt"
	"net/netip"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Proxy is one sidecar's configuration.
type Proxy struct {
	// Principal is the name in the workload's certificate, CertSecret the secret it is delivered as.
	Principal  string
	CertSecret string
	Resources  *envoy.Resources
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
	// TLS is whether the application speaks TLS itself; ServerName is what it says in the handshake.
	TLS        bool
	ServerName string
	// Pick chooses among weighted targets: a number below the sum of the weights. Endpoints are taken in order.
	Pick uint32
	// Around is what the server's sidecar finds around it.
	Around Around
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
	// Held is whether what decided is no access policy but something that counts, asks or disturbs calls.
	Held bool
	// Cluster is the client's cluster that was chosen, if it came to that.
	Cluster string
	// Path is what the application is asked for, when a request reaches it.
	Path string
	// Judged is the path that the rules of the server's sidecar were asked about, when it came to that.
	Judged string
}

func (o Outcome) String() string {
	if o.End == Answered {
		return fmt.Sprintf("%s %d", o.End, o.Code)
	}
	return string(o.End)
}

// FromMesh follows a call of an application that has a sidecar.
func FromMesh(client *Proxy, mesh Mesh, call Call) (Outcome, error) {
	d, out, err := depart(client, call)
	if err != nil || d == nil {
		return out, err
	}
	cluster := pick(d.targets, call.Pick)
	if out, outside, err := leaves(client.Resources, cluster, d.chain, d.req); outside || err != nil {
		return out, err
	}
	out, err = toCluster(client, mesh, cluster, d.chain.http, d.req, call.Around)
	out.Cluster = cluster
	return out, err
}

// Choice is a cluster that a call may be sent to, and how often it is, in proportion to the others.
type Choice struct {
	Cluster string
	Weight  uint32
}

// Choices lists the clusters among which the client's sidecar chooses for a call; none when the call ends before that.
func Choices(client *Proxy, call Call) ([]Choice, error) {
	d, _, err := depart(client, call)
	if err != nil || d == nil {
		return nil, err
	}
	out := make([]Choice, 0, len(d.targets))
	for _, t := range d.targets {
		out = append(out, Choice{Cluster: t.cluster, Weight: t.weight})
	}
	return out, nil
}

// departure is a call at the moment when the client's sidecar chooses a cluster.
type departure struct {
	chain   *chain
	req     *Request
	targets []target
}

// depart follows a call through the client's sidecar. Without a departure the call ends there, as the outcome says.
func depart(client *Proxy, call Call) (*departure, Outcome, error) {
	l, err := outboundListener(client.Resources)
	if err != nil || l == nil {
		return nil, Outcome{End: Refused, By: "no outbound listener"}, err
	}
	chain := l.find(call.To, call.hello())
	if chain == nil {
		if l.passthrough {
			return nil, Outcome{End: Passthrough, By: "default filter chain"}, nil
		}
		return nil, Outcome{End: Reset, By: "no outbound filter chain matches " + call.To.String()}, nil
	}
	d := &departure{chain: chain, req: call.HTTP, targets: chain.tcp}
	if !chain.http {
		return d, Outcome{}, nil
	}
	if d.req == nil {
		d.req = &Request{Method: "GET", Path: "/", Headers: map[string]string{}}
	}
	judged, ok := chain.paths.request(*d.req)
	if !ok {
		return nil, Outcome{End: Answered, Code: 400, By: "client: path"}, nil
	}
	d.req = &judged
	route, err := findRoute(client.Resources, chain.routeConfig, judged)
	if err != nil {
		return nil, Outcome{}, err
	}
	if route == nil {
		return nil, Outcome{End: Answered, Code: 404, By: "client: " + chain.routeConfig}, nil
	}
	d.targets = route.targets
	return d, Outcome{}, nil
}

// toCluster follows a call from the client's cluster to a server's sidecar.
func toCluster(client *Proxy, mesh Mesh, cluster string, http bool, req *Request, around Around) (Outcome, error) {
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
	if up.certSecret != "" && up.certSecret != client.CertSecret {
		return Outcome{}, fmt.Errorf("cluster %s shows certificate %s, which is not the client's", cluster, up.certSecret)
	}
	c := caller{principal: client.Principal, hello: hello{tls: true, sni: up.serverName, alpn: up.alpn}, http2: up.http2, around: around}
	out, err := atServer(server, c, addr, req)
	if http && (out.End == Reset || out.End == Refused) {
		out.End, out.Code = Answered, 503
	}
	return out, err
}

// caller is what a server's sidecar sees of a client's.
type caller struct {
	principal string
	hello     hello
	http2     bool
	around    Around
}

// atServer follows a mesh connection into the server's sidecar.
func atServer(server *Proxy, c caller, addr netip.AddrPort, req *Request) (Outcome, error) {
	l, err := inboundListener(server.Resources)
	if err != nil {
		return Outcome{}, err
	}
	if l == nil {
		return Outcome{End: Reset, By: "server: no inbound listener"}, nil
	}
	chain := l.find(addr, c.hello)
	if chain == nil {
		return Outcome{End: Reset, By: "server: no inbound filter chain for " + c.hello.sni}, nil
	}
	if chain.tls == nil || !chain.tls.clientCert {
		return Outcome{}, fmt.Errorf("%s does not ask for the caller's certificate", chain.name)
	}
	if !chain.tls.trust.accepts(c.principal) {
		return Outcome{End: Reset, By: "server: " + chain.name + " does not accept the certificate of " + c.principal}, nil
	}
	if chain.access != nil {
		if ok, _ := chain.access.allowsConnection(c.principal, addr.Port()); !ok {
			return Outcome{End: Reset, By: "server: " + chain.name + " admits no such principal"}, nil
		}
	}
	if by := chain.limits.connection(c.around); by != "" {
		return Outcome{End: Reset, By: "server: " + by, Held: true}, nil
	}
	if !chain.http {
		return Outcome{End: Connected, By: chain.name}, nil
	}
	if c.http2 != chain.http2 {
		return Outcome{End: Answered, Code: 502, By: "server: " + chain.name + " speaks another version of HTTP"}, nil
	}
	if req == nil {
		// Bytes that are no request, or a request to a sidecar that was not told so, are answered 400 and closed.
		return Outcome{End: Reset, By: "server: " + chain.name + " wants HTTP"}, nil
	}
	judged, ok := chain.paths.request(*req)
	if !ok {
		return Outcome{End: Answered, Code: 400, By: "server: path"}, nil
	}
	route, err := findRoute(server.Resources, chain.routeConfig, judged)
	if err != nil {
		return Outcome{}, err
	}
	if route == nil {
		return Outcome{End: Answered, Code: 404, By: "server: " + chain.routeConfig, Judged: judged.Path}, nil
	}
	by := route.host
	if route.access != nil {
		ok, rule := route.access.allowsRequest(c.principal, judged)
		if !ok {
			return Outcome{End: Answered, Code: 403, By: "server: " + route.host, Judged: judged.Path}, nil
		}
		by = rule
	}
	if code, why := chain.limits.request(*route, c.around); code != 0 {
		return Outcome{End: Answered, Code: code, By: "server: " + why, Held: true}, nil
	}
	return Outcome{End: Answered, Code: 200, By: by, Path: judged.Path, Judged: judged.Path}, nil
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
