package ir

import (
	"cmp"
	"slices"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Proxy is the whole configuration of one kind of proxy.
type Proxy struct {
	Identity    meshid.Identity    `json:"identity"`
	TrustDomain meshid.TrustDomain `json:"trustDomain"`
	TLS         TLS                `json:"tls"`
	// IPv6 makes listeners bind the IPv6 wildcard beside the IPv4 one.
	IPv6 bool `json:"ipv6,omitempty"`
	// Outbound is nil when the proxy may call nothing: then nothing listens and callers are refused.
	Outbound *Listener `json:"outbound,omitempty"`
	// Inbound is nil when the pod backs no service.
	Inbound *Listener `json:"inbound,omitempty"`
	// AccessLog says which calls are logged.
	AccessLog AccessLog `json:"accessLog,omitempty"`
	// Metrics is whether the metrics listener is programmed.
	Metrics bool `json:"metrics,omitempty"`
	// Application is where the application's own metrics are, which the metrics listener adds to the proxy's; zero is nowhere.
	Application  MetricsSource `json:"application,omitzero"`
	RouteConfigs []RouteConfig `json:"routeConfigs,omitempty"`
	Clusters     []Cluster     `json:"clusters,omitempty"`
	// Trusts are the validation contexts the proxy needs, by secret name.
	Trusts []Trust `json:"trusts,omitempty"`
}

// MetricsSource is a page of the application beside the proxy.
type MetricsSource struct {
	Port uint16 `json:"port"`
	Path string `json:"path"`
}

// AccessLog says which calls a proxy logs.
type AccessLog string

// Which calls a proxy logs; the zero value is failures.
const (
	LogFailures AccessLog = ""
	LogAll      AccessLog = "all"
	LogNothing  AccessLog = "nothing"
)

// TLS bounds handshakes between sidecars; empty means Envoy's default. Versions are TLSv1_0 … TLSv1_3 or TLS_AUTO.
type TLS struct {
	MinVersion   string   `json:"minVersion,omitempty"`
	MaxVersion   string   `json:"maxVersion,omitempty"`
	CipherSuites []string `json:"cipherSuites,omitempty"`
	Curves       []string `json:"curves,omitempty"`
}

// Listener is a set of filter chains on one port, sorted by name.
type Listener struct {
	// Shared is whether other plans have the very same chains, at the same place in memory. It is not encoded.
	Shared bool    `json:"-"`
	Chains []Chain `json:"chains"`
	// Passthrough sends what no chain matches to its original destination; without it such a connection is closed.
	Passthrough bool `json:"passthrough,omitempty"`
}

// Chain takes the connections that match and hands them to routes or to clusters.
type Chain struct {
	Name     string          `json:"name"`
	Match    ChainMatch      `json:"match"`
	Protocol meshid.Protocol `json:"protocol"`
	// Side is "" for a chain between sidecars.
	Side Side `json:"side,omitempty"`
	// About is what the chain was made for.
	About About `json:"-"`
	// MTLS is set on inbound chains: the connection must be mutual TLS of the mesh. Of ingress chains it is set on those
	// that terminate TLS.
	MTLS *MTLS `json:"mtls,omitempty"`
	// RouteConfig names the routes of an HTTP chain.
	RouteConfig string `json:"routeConfig,omitempty"`
	// NormalizePaths rewrites request paths to their canonical form before routes judge them.
	NormalizePaths bool `json:"normalizePaths,omitempty"`
	// TCP are the weighted targets of a chain that is not HTTP.
	TCP []Target `json:"tcp,omitempty"`
	// Access limits who may connect; nil means anyone whose TLS is accepted. An empty list means nobody.
	Access *Access `json:"access,omitempty"`
	// ConnectionRate and ConnectionQuota limit connections; those over a limit are closed.
	ConnectionRate  *Rate            `json:"connectionRate,omitempty"`
	ConnectionQuota *ConnectionQuota `json:"connectionQuota,omitempty"`
	// RequestRates is whether virtual hosts or routes of the chain carry a RequestRate.
	RequestRates bool `json:"requestRates,omitempty"`
	// RouteRates is how many of the paths have a RequestRate of their own.
	RouteRates int `json:"routeRates,omitempty"`
	// RequestQuota is the service that is asked about requests whose virtual host or route has descriptors.
	RequestQuota *RequestQuota `json:"requestQuota,omitempty"`
	// ExternalAuthorization is asked about every request that passed Access.
	ExternalAuthorization *ExternalAuthorization `json:"externalAuthorization,omitempty"`
	// Faults is whether virtual hosts or routes of the chain carry a Fault.
	Faults bool `json:"faults,omitempty"`
	// Idle is how long a chain of bytes bears a connection without a byte; 0 is Envoy's own.
	Idle Duration `json:"idle,omitempty"`
	// OnDemand has calls wait while the proxy fetches the cluster they go to, if it does not have it.
	OnDemand bool `json:"onDemand,omitempty"`
	// Counted is for an outbound HTTP chain of the mesh: its requests are counted by the workloads they go between.
	Counted bool `json:"counted,omitempty"`
	// Tracing sends spans about the requests of the chain.
	Tracing *Tracing `json:"tracing,omitempty"`
}

// ChainMatch is the destination (and for inbound chains the TLS server names) a chain is for.
type ChainMatch struct {
	Port uint16 `json:"port"`
	// Addresses are destination IP addresses, sorted; empty means any.
	Addresses []string `json:"addresses,omitempty"`
	// Ranges are destination CIDRs beside Addresses, sorted. The narrowest range that fits decides, whatever else a chain
	// for a wider one takes.
	Ranges []string `json:"ranges,omitempty"`
	// Sources are CIDRs of clients, sorted; empty means any.
	Sources []string `json:"sources,omitempty"`
	// ServerNames are TLS SNI values, sorted; empty means any. A wildcard is "*." and a name.
	ServerNames []string `json:"serverNames,omitempty"`
	// ALPN is what the caller's sidecar says in the TLS handshake of an inbound chain; empty is the mesh's usual word.
	ALPN string `json:"alpn,omitempty"`
	// Detected is for an outbound HTTP chain: only connections in which HTTP was found.
	Detected bool `json:"detected,omitempty"`
	// Plaintext is for chains of ports on which TLS is looked for: only connections that do not begin with it.
	Plaintext bool `json:"plaintext,omitempty"`
}

// MTLS names the secrets of a TLS server.
type MTLS struct {
	CertSecret  string `json:"certSecret"`
	TrustSecret string `json:"trustSecret"`
	// AnyClient is for ingress: no certificate is asked of the client.
	AnyClient bool `json:"anyClient,omitempty"`
}

// Access is a list of named permissions, judged per connection. Any match admits.
type Access struct {
	Rules []NetworkRule `json:"rules"`
}

// NetworkRule admits some principals to some ports. Name is "<namespace>/<traffic target>".
type NetworkRule struct {
	Name string `json:"name"`
	// Principals are exact certificate names, sorted.
	Principals []string `json:"principals"`
	// Ports are destination ports; empty means any.
	Ports []uint16 `json:"ports,omitempty"`
}

// RouteConfig is the virtual hosts of one HTTP port.
type RouteConfig struct {
	// Shared is whether other plans have the very same virtual hosts, at the same place in memory. It is not encoded.
	Shared bool   `json:"-"`
	Name   string `json:"name"`
	// Inbound is whether these are the routes to the application beside the sidecar.
	Inbound bool `json:"inbound,omitempty"`
	// External is whether these are routes out of the mesh, where its headers have no business.
	External     bool          `json:"external,omitempty"`
	VirtualHosts []VirtualHost `json:"virtualHosts"`
}

// VirtualHost is the routes of one set of host names. The first route that matches is taken; a request that matches
// none is answered 404.
type VirtualHost struct {
	Name string `json:"name"`
	// About is what the virtual host was made for.
	About  About    `json:"-"`
	Hosts  []string `json:"hosts"`
	Routes []Route  `json:"routes"`
	// Access limits who may request what; nil means anyone the connection was accepted from (and always on outbound
	// hosts). A request that has a route but no rule is answered 403.
	Access *HTTPAccess `json:"access,omitempty"`
	// RequestRate limits the requests of all routes together that have none of their own; Descriptors are asked about
	// for those that have none of their own.
	RequestRate *RequestRate `json:"requestRate,omitempty"`
	Descriptors []Descriptor `json:"descriptors,omitempty"`
	// Fault is for requests of routes that have none of their own.
	Fault *Fault `json:"fault,omitempty"`
}

// Route matches requests and sends them to weighted targets.
type Route struct {
	Match   RouteMatch `json:"match"`
	Targets []Target   `json:"targets"`
	// Retry says when a request is sent again; nil is when it has certainly not been processed.
	Retry *Retry `json:"retry,omitempty"`
	// RequestRate and Descriptors replace those of the virtual host. Routes of one path have one RequestRate and share
	// what it lets through.
	RequestRate *RequestRate `json:"requestRate,omitempty"`
	Descriptors []Descriptor `json:"descriptors,omitempty"`
	// Timeout is until the whole answer is there, Idle without a byte; 0 is none, or Envoy's own.
	Timeout Duration `json:"timeout,omitempty"`
	Idle    Duration `json:"idle,omitempty"`
	Mirror  *Mirror  `json:"mirror,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"`
}

// RouteMatch is a conjunction. Path and Method are RE2 expressions that must match the whole value; empty matches all.
type RouteMatch struct {
	Path    string        `json:"path,omitempty"`
	Method  string        `json:"method,omitempty"`
	Headers []HeaderMatch `json:"headers,omitempty"`
}

// HeaderMatch wants a header's value to match an RE2 expression as a whole. The authority is the header ":authority".
type HeaderMatch struct {
	Name  string `json:"name"`
	Regex string `json:"regex"`
}

// HTTPAccess is a list of named permissions, judged per request. Any match admits; no rules admit nobody.
type HTTPAccess struct {
	Rules []HTTPRule `json:"rules"`
}

// HTTPRule admits some principals to some requests. Name is "<namespace>/<traffic target>".
type HTTPRule struct {
	Name       string       `json:"name"`
	Matches    []RouteMatch `json:"matches"`
	Principals []string     `json:"principals"`
}

// Target is a cluster and its share.
type Target struct {
	Cluster string `json:"cluster"`
	Weight  uint32 `json:"weight"`
}

// ClusterKind says how a cluster finds its addresses.
type ClusterKind string

// The kinds of clusters.
const (
	// Mesh: endpoints through EDS, mutual TLS, HTTP/2 between sidecars for HTTP protocols.
	Mesh ClusterKind = "mesh"
	// Local: the application beside the sidecar.
	Local ClusterKind = "local"
	// OriginalDst: wherever the connection was going.
	OriginalDst ClusterKind = "originalDst"
	// Admin: the proxy's own admin interface.
	Admin ClusterKind = "admin"
	// Figures: the application's own metrics.
	Figures ClusterKind = "figures"
	// End: the proxy's own admin interface too, asked to end the proxy as soon as the cluster is there.
	End ClusterKind = "end"
)

// Cluster is a place requests go to.
type Cluster struct {
	Name string `json:"name"`
	// About is what the cluster was made for.
	About    About           `json:"-"`
	Kind     ClusterKind     `json:"kind"`
	Protocol meshid.Protocol `json:"protocol,omitempty"`
	// Port is where a Local cluster's application, or a DNS cluster's host, listens.
	Port uint16 `json:"port,omitempty"`
	// ServerName is the SNI of a Mesh cluster.
	ServerName string `json:"serverName,omitempty"`
	// ALPN is what a Mesh cluster says in the TLS handshake; empty is the mesh's usual word.
	ALPN        string `json:"alpn,omitempty"`
	CertSecret  string `json:"certSecret,omitempty"`
	TrustSecret string `json:"trustSecret,omitempty"`
	// Accepted are the exact certificate names of whoever may answer for a Mesh cluster, sorted. They narrow what
	// TrustSecret accepts; none would not, so there is always one.
	Accepted []string `json:"accepted,omitempty"`
	// HTTP2Local marks the twin of a Local cluster that speaks HTTP/2 to the application, for requests whose caller
	// spoke HTTP/2.
	HTTP2Local bool `json:"http2Local,omitempty"`
	// SameProtocol has an HTTP cluster speak the HTTP version that the client spoke.
	SameProtocol bool `json:"sameProtocol,omitempty"`
	// Host is the name or address of a DNS cluster. Without one it has no address: every call fails.
	Host string `json:"host,omitempty"`
	// Limits bound what is sent there; nil is no limit.
	Limits *Limits `json:"limits,omitempty"`
	// OnDemand is for a Mesh cluster: the proxy gets it with the first call to it.
	OnDemand bool `json:"onDemand,omitempty"`
	// Alike is the cluster that this one is but for its CertSecret, at the same place in memory for all that are. It is not encoded.
	Alike *Cluster `json:"-"`
}

// Trust is a validation context: the mesh's roots and, if Names is not nil, the exact certificate names accepted.
type Trust struct {
	Secret string `json:"secret"`
	// About is what the context was made for.
	About About    `json:"-"`
	Names []string `json:"names"`
}

// CompareRouteMatch orders matches: more specific paths (longer) first, then by every field.
func CompareRouteMatch(a, b RouteMatch) int {
	return cmp.Or(
		cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method),
		slices.CompareFunc(a.Headers, b.Headers, func(x, y HeaderMatch) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Regex, y.Regex))
		}))
}

// EqualRouteMatch reports whether two matches say the same.
func EqualRouteMatch(a, b RouteMatch) bool { return CompareRouteMatch(a, b) == 0 }
