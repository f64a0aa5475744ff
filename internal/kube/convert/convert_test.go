package convert

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

var comparers = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

func ptr[T any](v T) *T { return &v }

func TestServiceOf(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "bookstore", Name: "shop"}
	id := meshid.Service{Namespace: "bookstore", Name: "shop"}
	port := func(p corev1.ServicePort) corev1.ServiceSpec {
		return corev1.ServiceSpec{Ports: []corev1.ServicePort{p}}
	}
	tests := []struct {
		name  string
		spec  corev1.ServiceSpec
		want  snapshot.Service
		names []string
	}{
		{name: "dual stack", spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1", "fd00::1"}, Selector: map[string]string{"app": "a"}},
			want: snapshot.Service{ID: id, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, Selector: map[string]string{"app": "a"}}},
		{name: "only clusterIP, as in a manifest", spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1"},
			want: snapshot.Service{ID: id, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}},
		{name: "headless", spec: corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}}, want: snapshot.Service{ID: id, Headless: true}},
		{name: "external name has neither address nor selector",
			spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost", Selector: map[string]string{"app": "a"}, ClusterIP: "10.0.0.1"},
			want: snapshot.Service{ID: id, Headless: true}},
		{name: "UDP and SCTP are dropped", spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
			{Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 54, Protocol: corev1.ProtocolSCTP}, {Name: "tcp-dns", Port: 53, Protocol: corev1.ProtocolTCP}}},
			want:  snapshot.Service{ID: id, Ports: []snapshot.ServicePort{{Name: "tcp-dns", Port: 53, TargetPort: 53, Protocol: meshid.TCP}}},
			names: []string{""}},
		{name: "target port number", spec: port(corev1.ServicePort{Port: 80, TargetPort: intstr.FromInt32(8080)}),
			want: snapshot.Service{ID: id, Ports: []snapshot.ServicePort{{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP, Undeclared: true}}}, names: []string{""}},
		{name: "target port name", spec: port(corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("web")}),
			want: snapshot.Service{ID: id, Ports: []snapshot.ServicePort{{Port: 80, Protocol: meshid.HTTP, Undeclared: true}}}, names: []string{"web"}},
		{name: "appProtocol wins over the name", spec: port(corev1.ServicePort{Name: "http-x", Port: 80, AppProtocol: ptr("GRPC")}),
			want: snapshot.Service{ID: id, Ports: []snapshot.ServicePort{{Name: "http-x", Port: 80, TargetPort: 80, Protocol: meshid.GRPC}}}, names: []string{""}},
		{name: "unknown appProtocol", spec: port(corev1.ServicePort{Port: 6379, AppProtocol: ptr("redis")}),
			want: snapshot.Service{ID: id, Ports: []snapshot.ServicePort{{Port: 6379, TargetPort: 6379, Protocol: meshid.Unsupported}}}, names: []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ServiceOf(&corev1.Service{ObjectMeta: meta, Spec: tt.spec})
			require.Empty(t, cmp.Diff(Service{Service: tt.want, TargetNames: tt.names}, got, comparers))
		})
	}
}

func TestPodOf(t *testing.T) {
	base := func() *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u1"},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.1.0.1"},
		}
	}
	want := func() Pod {
		return Pod{Pod: snapshot.Pod{
			ID: meshid.Pod{Namespace: "ns", Name: "p", UID: "u1"}, Identity: meshid.Identity{Namespace: "ns", ServiceAccount: "default"},
			IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1")}, Workload: meshid.Workload{Kind: "Pod", Name: "p"},
		}}
	}
	tests := []struct {
		name string
		edit func(*corev1.Pod)
		want func(*Pod)
	}{
		{"default account, single IP", func(*corev1.Pod) {}, func(*Pod) {}},
		{"account and labels", func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "shop"
			p.Labels = map[string]string{"osm-proxy-uuid": "abc", "app": "x"}
		}, func(p *Pod) {
			p.Identity.ServiceAccount, p.ProxyUUID = "shop", "abc"
			p.Labels = map[string]string{"osm-proxy-uuid": "abc", "app": "x"}
		}},
		{"both families", func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "10.1.0.1"}, {IP: "fd00::1"}} },
			func(p *Pod) { p.IPs = append(p.IPs, netip.MustParseAddr("fd00::1")) }},
		{"no address yet", func(p *corev1.Pod) { p.Status.PodIP, p.Status.Phase = "", corev1.PodPending }, func(p *Pod) { p.IPs = nil }},
		{"scraped", func(p *corev1.Pod) { p.Annotations = map[string]string{"prometheus.io/scrape": "true"} }, func(p *Pod) { p.Scrape = true }},
		{"not scraped", func(p *corev1.Pod) { p.Annotations = map[string]string{"prometheus.io/scrape": "maybe"} }, func(*Pod) {}},
		{"scraped for both", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"prometheus.io/scrape": "true", "openservicemesh.io/application-metrics": `{"port":8080,"path":"/m"}`}
		}, func(p *Pod) { p.Scrape, p.Metrics = true, snapshot.MetricsSource{Port: 8080, Path: "/m"} }},
		{"the page of the sidecar itself", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"openservicemesh.io/application-metrics": `{"port":15000,"path":"/config_dump"}`}
		}, func(*Pod) {}},
		{"container ports", func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{
				{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}, {ContainerPort: 81}, {Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}}},
				{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 90}}},
			}
			p.Spec.InitContainers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "side", ContainerPort: 99}}}}
		}, func(p *Pod) { p.PortNames = map[string]uint16{"web": 80, "side": 99} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, exp := base(), want()
			tt.edit(in)
			tt.want(&exp)
			got, keep := PodOf(in)
			require.True(t, keep)
			require.Empty(t, cmp.Diff(exp, got, comparers))
		})
	}
	for _, phase := range []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed} {
		p := base()
		p.Status.Phase = phase
		_, keep := PodOf(p)
		require.False(t, keep, phase)
	}
}

func TestSliceOf(t *testing.T) {
	slice := func(edit func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: "shop-x", Labels: map[string]string{"kubernetes.io/service-name": "shop"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr("web"), Port: ptr(int32(8080))}},
		}
		edit(s)
		return s
	}
	svc := meshid.Service{Namespace: "ns", Name: "shop"}
	web := []SlicePort{{Name: "web", Port: 8080}}
	ip := netip.MustParseAddr("10.1.0.1")
	endpoint := func(ready *bool) []discoveryv1.Endpoint {
		return []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}}
	}
	tests := []struct {
		name string
		edit func(*discoveryv1.EndpointSlice)
		want Slice
		keep bool
	}{
		{"ready absent counts", func(s *discoveryv1.EndpointSlice) { s.Endpoints = endpoint(nil) }, Slice{svc, web, []Address{{Addr: ip}}}, true},
		{"ready", func(s *discoveryv1.EndpointSlice) { s.Endpoints = endpoint(ptr(true)) }, Slice{svc, web, []Address{{Addr: ip}}}, true},
		{"not ready", func(s *discoveryv1.EndpointSlice) { s.Endpoints = endpoint(ptr(false)) }, Slice{svc, web, nil}, true},
		{"pod named", func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = endpoint(nil)
			s.Endpoints[0].TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "p", UID: "u"}
		}, Slice{svc, web, []Address{{Addr: ip, Pod: meshid.Pod{Namespace: "ns", Name: "p", UID: "u"}}}}, true},
		{"target is no pod", func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = endpoint(nil)
			s.Endpoints[0].TargetRef = &corev1.ObjectReference{Kind: "Node", Name: "n"}
		}, Slice{svc, web, []Address{{Addr: ip}}}, true},
		{"name of its own", func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = endpoint(nil)
			s.Endpoints[0].Hostname = ptr("db-0")
		}, Slice{svc, web, []Address{{Addr: ip, Hostname: "db-0"}}}, true},
		{"IPv6", func(s *discoveryv1.EndpointSlice) {
			s.AddressType = discoveryv1.AddressTypeIPv6
			s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"fd00::1", "fd00::2"}}}
		}, Slice{svc, web, []Address{{Addr: netip.MustParseAddr("fd00::1")}}}, true},
		{"UDP port", func(s *discoveryv1.EndpointSlice) { s.Ports[0].Protocol = ptr(corev1.ProtocolUDP) }, Slice{svc, nil, nil}, true},
		{"host names", func(s *discoveryv1.EndpointSlice) { s.AddressType = discoveryv1.AddressTypeFQDN }, Slice{}, false},
		{"no service", func(s *discoveryv1.EndpointSlice) { s.Labels = nil }, Slice{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, keep := SliceOf(slice(tt.edit))
			require.Equal(t, tt.keep, keep)
			require.Empty(t, cmp.Diff(tt.want, got, comparers))
		})
	}
}

func TestMeshOf(t *testing.T) {
	got := MeshOf(DefaultMeshConfig(), "cluster.local")
	require.Equal(t, snapshot.Mesh{
		TrustDomain: "cluster.local", Permissive: true, Egress: true, Detect: true,
		TLS:          snapshot.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"},
		FeatureFlags: map[string]bool{"enableWASMStats": true, "enableEgressPolicy": true, "enableIngressBackendPolicy": true},
	}, got)

	zero := MeshOf(&configv1alpha2.MeshConfig{}, "td")
	require.False(t, zero.Permissive || zero.Egress, "zero values permit nothing")

	var c configv1alpha2.MeshConfig
	c.Spec.Sidecar.TLSMinProtocolVersion, c.Spec.Sidecar.TLSMaxProtocolVersion = configv1alpha2.TLSv1_3, configv1alpha2.TLSAuto
	c.Spec.Sidecar.CipherSuites, c.Spec.Sidecar.ECDHCurves = []string{"a"}, []string{"b"}
	require.Equal(t, snapshot.TLSParams{MinVersion: "TLSv1_3", MaxVersion: "TLS_AUTO", CipherSuites: []string{"a"}, Curves: []string{"b"}}, MeshOf(&c, "td").TLS)
}

func TestSettingsOf(t *testing.T) {
	for resync, want := range map[string]time.Duration{"0s": 0, "29s": 0, "often": 0, "30s": 30 * time.Second} {
		var c configv1alpha2.MeshConfig
		c.Spec.Certificate.ServiceCertValidityDuration = "1h"
		c.Spec.Sidecar.ConfigResyncInterval = resync
		c.Spec.Sidecar.MaxDataPlaneConnections = 7
		c.Spec.Observability.OSMLogLevel, c.Spec.Observability.EnableDebugServer = "debug", true
		require.Equal(t, Settings{LogLevel: "debug", DebugServer: true, CertValidity: "1h", MaxConnections: 7, ResyncInterval: want}, SettingsOf(&c), resync)
	}
}

func TestClusterDiscoveryModes(t *testing.T) {
	for mode, want := range map[configv1alpha2.ClusterDiscoveryMode]snapshot.ClusterDiscovery{
		"": snapshot.ClustersAuto, configv1alpha2.ClusterDiscoveryAuto: snapshot.ClustersAuto,
		configv1alpha2.ClusterDiscoveryOnDemand: snapshot.ClustersOnDemand, configv1alpha2.ClusterDiscoveryPreloaded: snapshot.ClustersPreloaded,
	} {
		c := &configv1alpha2.MeshConfig{}
		c.Spec.Sidecar.ClusterDiscovery = mode
		require.Equal(t, want, MeshOf(c, "cluster.local").Clusters, mode)
	}
}

func TestAccessLogModes(t *testing.T) {
	for mode, want := range map[configv1alpha2.AccessLogMode]snapshot.AccessLog{
		"": snapshot.LogFailures, configv1alpha2.AccessLogFailures: snapshot.LogFailures,
		configv1alpha2.AccessLogAll: snapshot.LogAll, configv1alpha2.AccessLogOff: snapshot.LogNothing,
	} {
		c := &configv1alpha2.MeshConfig{}
		c.Spec.Observability.AccessLog = mode
		require.Equal(t, want, MeshOf(c, "cluster.local").AccessLog, mode)
	}
}
