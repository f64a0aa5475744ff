package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
)

// Config is everything a sidecar's bootstrap depends on.
type Config struct {
	// NodeID is the proxy's UUID. It helps to find a proxy in logs; the control plane trusts the token, not this.
	NodeID string
	// NodeCluster is "<serviceaccount>.<namespace>".
	NodeCluster string
	// ControllerHost is the DNS name of the ADS server, ControllerPort its port.
	ControllerHost string
	ControllerPort uint16
	// ControllerSAN is the one DNS name the ADS server's certificate must carry, "ads.<trust domain>".
	ControllerSAN string
	// RootPEM is the mesh's root certificate (or several, during a rotation).
	RootPEM string
	// TLS limits the connection to the control plane.
	TLS TLSParams
	// Probes are the health probes the sidecar serves.
	Probes []probe.Target
	// DualStack makes the sidecar's own listeners accept IPv6 as well as IPv4.
	DualStack bool
	// MemoryLimit is the limit of the sidecar's container in bytes; 0 is none.
	MemoryLimit int64
}

// TLSParams are Envoy's names of versions, ciphers and curves; empty means Envoy's default.
type TLSParams struct {
	MinVersion   string
	MaxVersion   string
	CipherSuites []string
	ECDHCurves   []string
}

// Admin address, on the loopback only: `osm proxy get` reaches it through a port-forward.
const adminAddress = "127.0.0.1"

// evictSeconds is how long a counter of requests between pods is kept without a request. It is a multiple of the interval at
// which Envoy flushes statistics, as Envoy demands.
const evictSeconds = 3600

// Build returns the bootstrap, valid by Envoy's own field rules, or an error that names the field.
func Build(c Config) (*bootstrapv3.Bootstrap, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var e encoder
	clusters := []*clusterv3.Cluster{e.controllerCluster(c)}
	listeners := []*listenerv3.Listener{e.readyListener(c.DualStack)}
	pl, pc := e.probes(c)
	b := &bootstrapv3.Bootstrap{
		Node:           &corev3.Node{Id: c.NodeID, Cluster: c.NodeCluster},
		Admin:          &bootstrapv3.Admin{Address: address(adminAddress, names.PortEnvoyAdmin, false)},
		LayeredRuntime: Runtime(),
		// In permissive mode a sidecar knows every service of the mesh and calls few. Workers take a cluster up, and its
		// counters are made, with the first call to it.
		ClusterManager:      &bootstrapv3.ClusterManager{EnableDeferredClusterCreation: true},
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{EnableDeferredCreationStats: true},
		StatsConfig:         stats(),
		StatsEviction:       &bootstrapv3.Bootstrap_StatsEvictionInterval{StatsEvictionInterval: &durationpb.Duration{Seconds: evictSeconds}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: adsConfig(),
			CdsConfig: overADS(),
			LdsConfig: overADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: append(listeners, pl...),
			Clusters:  append(clusters, pc...),
		},
		OverloadManager: e.overload(c.MemoryLimit),
	}
	answerAlways(b)
	if e.err != nil {
		return nil, e.err
	}
	if err := validate(b); err != nil {
		return nil, fmt.Errorf("sidecar bootstrap: %w", err)
	}
	return b, nil
}

// validate checks Envoy's rules for the fields of a message. The osm command, which starts no sidecar, is built without them (tag
// disable_pgv); they would make it 5 MB larger.
func validate(m any) error {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		return v.ValidateAll()
	}
	return nil
}

// Text returns what Envoy reads as bootstrap.yaml, in the part of YAML that is also JSON, indented for readers. The same
// bootstrap gives the same bytes.
func Text(b *bootstrapv3.Bootstrap) (string, error) {
	js, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("sidecar bootstrap: encode: %w", err)
	}
	// protojson varies its white space on purpose; indenting anew settles it. (Block YAML would read better still, but
	// making it takes longer than all the rest of an injection.)
	var out bytes.Buffer
	out.Grow(2 * len(js))
	if err := json.Indent(&out, js, "", " "); err != nil {
		return "", fmt.Errorf("sidecar bootstrap: encode: %w", err)
	}
	return out.String(), nil
}

func (c Config) check() error {
	for _, f := range []struct{ name, value string }{
		{"node id", c.NodeID}, {"node cluster", c.NodeCluster}, {"controller host", c.ControllerHost},
		{"controller certificate name", c.ControllerSAN}, {"mesh root certificate", c.RootPEM},
	} {
		if f.value == "" {
			return fmt.Errorf("sidecar bootstrap: the %s is empty", f.name)
		}
	}
	if c.ControllerPort == 0 {
		return errors.New("sidecar bootstrap: the controller port is 0")
	}
	return nil
}

func adsConfig() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion:       corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: names.ClusterController,
				// A sidecar often starts before the cluster's DNS answers for it; the default first pause of up to
				// half a second would be most of its start-up time. A controller that was killed is replaced within a few seconds;
				// no sidecar is to be much later than that, and a thousand that ask in vain are to ask seldom.
				RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
					BaseInterval: durationMillis(100), MaxInterval: durationMillis(5_000),
				}},
			},
		}}},
	}
}

// overADS waits without limit for the first answer: until it is there Envoy serves no listener at all, so nothing is
// accepted before its policy has arrived, and the ready listener tells the truth.
func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(0),
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func durationMillis(ms int64) *durationpb.Duration {
	return &durationpb.Duration{Seconds: ms / 1000, Nanos: int32(ms % 1000 * 1_000_000)}
}

func u32(v uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(v) }

// address is a TCP socket; dual makes an IPv6 wildcard take IPv4 too.
func address(host string, port uint16, dual bool) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, Ipv4Compat: dual, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func wildcard(port uint16, dual bool) *corev3.Address {
	if dual {
		return address("::", port, true)
	}
	return address("0.0.0.0", port, false)
}

// encoder packs messages into Any and keeps the first failure, so that building stays one expression.
type encoder struct{ err error }

func (e *encoder) any(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil && e.err == nil {
		e.err = fmt.Errorf("sidecar bootstrap: encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return a
}
