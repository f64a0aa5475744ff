package envoycheck

import (
	"cmp"
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/envoy/filters"
)

// Static puts a proxy's resources together as one static bootstrap. cert is a PEM certificate and key that stands for
// the workload's.
func Static(set *envoy.Resources, endpoints func(cluster string) *envoy.Resource, cert Certificate) (*bootstrapv3.Bootstrap, error) {
	s := &assembler{set: set, endpoints: endpoints, cert: cert}
	out := &bootstrapv3.Bootstrap{LayeredRuntime: bootstrap.Runtime(), StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	for _, r := range set.List(envoy.Cluster) {
		c, err := s.cluster(r)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", r.Name, err)
		}
		out.StaticResources.Clusters = append(out.StaticResources.Clusters, c)
	}
	for _, r := range set.List(envoy.Listener) {
		l, err := s.listener(r)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", r.Name, err)
		}
		out.StaticResources.Listeners = append(out.StaticResources.Listeners, l)
	}
	return out, nil
}

// Certificate is a PEM certificate and its key.
type Certificate struct{ Chain, Key []byte }

type assembler struct {
	set       *envoy.Resources
	endpoints func(string) *envoy.Resource
	cert      Certificate
}

func (s *assembler) cluster(r *envoy.Resource) (*clusterv3.Cluster, error) {
	c := &clusterv3.Cluster{}
	if err := r.Body().UnmarshalTo(c); err != nil {
		return nil, err
	}
	if c.GetType() == clusterv3.Cluster_EDS {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.EdsClusterConfig = nil
		c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
		if e := s.endpoints(c.Name); e != nil {
			if err := e.Body().UnmarshalTo(c.LoadAssignment); err != nil {
				return nil, err
			}
		}
	}
	return c, s.socket(c.TransportSocket)
}

func (s *assembler) listener(r *envoy.Resource) (*listenerv3.Listener, error) {
	l := &listenerv3.Listener{}
	if err := r.Body().UnmarshalTo(l); err != nil {
		return nil, err
	}
	chains := l.FilterChains
	if l.DefaultFilterChain != nil {
		chains = append(chains, l.DefaultFilterChain)
	}
	for _, c := range chains {
		if err := s.socket(c.TransportSocket); err != nil {
			return nil, err
		}
		for _, f := range c.Filters {
			if err := errors.Join(s.routes(f), preloaded(f)); err != nil {
				return nil, fmt.Errorf("chain %s: %w", c.Name, err)
			}
		}
	}
	return l, nil
}

// routes puts the route config that a connection manager names into it.
func (s *assembler) routes(f *listenerv3.Filter) error {
	if f.Name != filters.NameConnectionManager {
		return nil
	}
	m := &hcmv3.HttpConnectionManager{}
	if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
		return err
	}
	if name := m.GetRds().GetRouteConfigName(); name != "" {
		r := s.set.Get(envoy.Route, name)
		if r == nil {
			return fmt.Errorf("route config %s is not among the resources", name)
		}
		rc := &routev3.RouteConfiguration{}
		if err := r.Body().UnmarshalTo(rc); err != nil {
			return err
		}
		// Static routes may be checked against the clusters, which a dangling name would fail.
		rc.ValidateClusters = nil
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: rc}
	}
	return repack(f.GetTypedConfig(), m)
}

// preloaded takes away where a filter fetches clusters from: a static file has all of them, and nothing to ask.
func preloaded(f *listenerv3.Filter) error {
	m, err := f.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *tcpv3.TcpProxy:
		m.OnDemand = nil
	case *hcmv3.HttpConnectionManager:
		for _, h := range m.HttpFilters {
			if h.Name == filters.NameOnDemand {
				if err := repack(h.GetTypedConfig(), &ondemandv3.OnDemand{}); err != nil {
					return err
				}
			}
		}
	}
	return repack(f.GetTypedConfig(), m)
}

// socket puts the secrets that a TLS socket names into it.
func (s *assembler) socket(t *corev3.TransportSocket) error {
	if t == nil {
		return nil
	}
	m, err := t.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return err
	}
	tls, ok := m.(interface {
		GetCommonTlsContext() *tlsv3.CommonTlsContext
	})
	if !ok {
		return fmt.Errorf("transport socket %s holds %T", t.Name, m)
	}
	common := tls.GetCommonTlsContext()
	common.TlsCertificateSdsSecretConfigs = nil
	common.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: inline(s.cert.Chain), PrivateKey: inline(s.cert.Key)}}
	combined := common.GetCombinedValidationContext()
	sds := cmp.Or(combined.GetValidationContextSdsSecretConfig(), common.GetValidationContextSdsSecretConfig())
	if sds == nil {
		return repack(t.GetTypedConfig(), m)
	}
	name := sds.GetName()
	r := s.set.Get(envoy.Secret, name)
	if r == nil {
		return fmt.Errorf("secret %s is not among the resources", name)
	}
	secret := &tlsv3.Secret{}
	if err := r.Body().UnmarshalTo(secret); err != nil {
		return err
	}
	trust := secret.GetValidationContext()
	if own := combined.GetDefaultValidationContext(); own != nil {
		proto.Merge(own, trust) // as Envoy does
		trust = own
	}
	common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: trust}
	return repack(t.GetTypedConfig(), m)
}

func repack(a *anypb.Any, m proto.Message) error { return a.MarshalFrom(m) }

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
