package snapshot

import (
	"net/netip"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Snapshot is one consistent view. Every field is read-only after New; equal parts of successive generations are
// shared by pointer, so an unchanged part can be recognised without comparing it.
type Snapshot struct {
	// Generation counts snapshots of one process, starting at 1.
	Generation uint64
	Mesh       Mesh
	// Services are the Services of monitored namespaces, sorted by namespace and name.
	Services []*Service
	// Pods are the pods of monitored namespaces that have not finished, sorted by namespace and name.
	Pods []*Pod
	// Endpoints are the ready addresses behind each service port.
	Endpoints Endpoints
	// Policies are the user's policy objects of monitored namespaces, by kind.
	Policies Policies

	services  map[meshid.Service]*Service
	pods      map[meshid.Pod]*Pod
	backing   map[meshid.Service][]meshid.Identity
	podToSvcs map[meshid.Pod][]meshid.Service
	nodes     []netip.Addr
}

// Mesh is what MeshConfig and the control plane's own flags say that proxies depend on.
type Mesh struct {
	// Namespace is where the MeshConfig is, for findings about it.
	Namespace   string
	TrustDomain meshid.TrustDomain
	// Permissive: every service is reachable from every pod and no TrafficTarget is enforced.
	Permissive bool
	// Egress: destinations the mesh does not know pass through to where they were going.
	Egress bool
	// Detect: connections to ports that declare no protocol are looked at, and what is no HTTP passes as bytes.
	Detect bool
	TLS    TLSParams
	// FeatureFlags are MeshConfig's, by their JSON name: those that are on, and enableRetryPolicy if it is set at all.
	FeatureFlags map[string]bool
	// ExternalAuthorization is nil when it is off.
	ExternalAuthorization *ExternalAuthorization
	// Tracing is nil when no spans are sent.
	Tracing *Tracing
	// AccessLog says which calls the proxies log.
	AccessLog AccessLog
	// Clusters says when the proxies get the clusters they may call.
	Clusters ClusterDiscovery
}

// ClusterDiscovery says when the proxies get the clusters they may call.
type ClusterDiscovery string

// When the proxies get the clusters they may call; the zero value goes by how many they are.
const (
	ClustersAuto      ClusterDiscovery = ""
	ClustersOnDemand  ClusterDiscovery = "onDemand"
	ClustersPreloaded ClusterDiscovery = "preloaded"
)

// AccessLog says which calls the proxies log.
type AccessLog string

// Which calls the proxies log; the zero value is failures.
const (
	LogFailures AccessLog = ""
	LogAll      AccessLog = "all"
	LogNothing  AccessLog = "nothing"
)

// Tracing names the collector of Zipkin spans.
type Tracing struct {
	// Address is a host name or an IP address.
	Address string
	Port    uint16
	// Path is where spans are posted to.
	Path string
}

// ExternalAuthorization names the gRPC service that is asked about every inbound HTTP request.
type ExternalAuthorization struct {
	// Address is a host name or an IP address; empty when what MeshConfig says is none, and then nothing answers.
	Address    string
	Port       uint16
	StatPrefix string
	Timeout    time.Duration
	// FailOpen lets requests pass when there is no answer.
	FailOpen bool
}

// TLSParams bound the TLS handshake between sidecars. Versions are MeshConfig's words, for example "TLSv1_2".
type TLSParams struct {
	MinVersion, MaxVersion string
	CipherSuites, Curves   []string
}

// Service is a Kubernetes Service of a monitored namespace.
type Service struct {
	ID meshid.Service
	// ClusterIPs are the virtual addresses; empty for a headless Service.
	ClusterIPs []netip.Addr
	Headless   bool
	// Selector is nil for a Service without one: its endpoints are made by somebody else.
	Selector map[string]string
	// Ports are the TCP ports, in the Service's order.
	Ports []ServicePort
}

// ServicePort is one TCP port of a Service.
type ServicePort struct {
	Name string
	Port uint16
	// TargetPort is the number the pods listen on: a named target port is resolved through the endpoints or the
	// containers, and falls back to Port when nothing tells.
	TargetPort uint16
	// OtherTargets are further numbers that a named target port has in some pods, sorted: pods of two versions may differ
	// while one replaces the other.
	OtherTargets []uint16
	Protocol     meshid.Protocol
	// Undeclared is whether nothing says what the port speaks; Protocol is then HTTP.
	Undeclared bool
}

// At is the port as pods have it in which its named target port is another number.
func (p ServicePort) At(number uint16) ServicePort {
	p.TargetPort, p.OtherTargets = number, nil
	return p
}

// LeadsTo reports whether pods behind the port may listen on a number.
func (p ServicePort) LeadsTo(number uint16) bool {
	return p.TargetPort == number || slices.Contains(p.OtherTargets, number)
}

// Pod is a pod of a monitored namespace.
type Pod struct {
	ID       meshid.Pod
	Identity meshid.Identity
	// ProxyUUID is the value of the osm-proxy-uuid label; empty when the pod has no sidecar.
	ProxyUUID string
	Labels    map[string]string
	IPs       []netip.Addr
	// NodeIPs are the addresses of the node the pod runs on.
	NodeIPs []netip.Addr
	// Scrape is whether prometheus.io/scrape is true.
	Scrape bool
	// Metrics is where the application shows its own metrics, for its sidecar to add them to its own; zero when it has none.
	Metrics MetricsSource
	// Workload is what the pod belongs to.
	Workload meshid.Workload
	// Finished is whether every container of the application has ended for good and only the sidecar keeps the pod running.
	Finished bool
}

// MetricsSource is a page of an application, at a port of its own pod.
type MetricsSource struct {
	Port uint16
	Path string
}

// Endpoint is one address of a service port.
type Endpoint struct {
	Addr netip.AddrPort
	// Pod is the pod behind the address, if the EndpointSlice says so.
	Pod meshid.Pod
	// Hostname is the name the address has of its own below the Service's, as pods of a StatefulSet do; else empty.
	Hostname string
}

// Endpoints maps a service port to its ready addresses, sorted and without duplicates. Slices of unchanged ports are
// shared between generations.
type Endpoints map[meshid.ServicePort][]Endpoint
