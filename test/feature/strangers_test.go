package feature

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

const deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// serve runs a server that knows pod 0 by the token t0 and has a view for it.
func serve(t *testing.T, opts xds.Options) *xdsserver.Server {
	t.Helper()
	s := start(t, opts)
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	s.Hub.SetView(xdstest.NewView().Add(pod(0), buyer, shop(1)...).Add(pod(9), store, xdstest.Cluster("theirs", 1)))
	return s
}

// call opens a method as a stream, sends one empty message and returns what comes of it.
func call(ctx context.Context, conn *grpc.ClientConn, method string) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&emptypb.Empty{})
	return stream.RecvMsg(&emptypb.Empty{})
}

func works(t *testing.T, s *xdsserver.Server) {
	t.Helper()
	p := connect(t, s, deltaclient.NewClient(), "t0")
	require.NoError(t, p.Wait(within(t, 10*time.Second), complete))
	p.stop()
}

func TestWithoutAGoodTokenNothingIsAnswered(t *testing.T) {
	s := serve(t, xds.Options{})
	conn := dial(t, s)
	for name, header := range map[string][]string{
		"no header":       nil,
		"empty":           {""},
		"only the scheme": {"Bearer "},
		"another scheme":  {"Basic t0"},
		"two headers":     {"t0", "t0"},
		"unknown, of another audience or expired": {"Bearer t1"},
		"twice in one":   {"t0,t0"},
		"another's case": {"T0"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 5*time.Second)
			for _, h := range header {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
			}
			err := call(ctx, conn, deltaMethod)
			require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
			require.Equal(t, "unauthenticated", status.Convert(err).Message(), "no detail is told")
		})
	}
	require.Zero(t, s.Hub.Len())
	for _, token := range []string{"t0", "Bearer t0", "bearer  t0 "} { // the injector sends the file as it is
		ctx := metadata.AppendToOutgoingContext(within(t, 5*time.Second), "authorization", token)
		stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster)}))
		_, err = stream.Recv()
		require.NoError(t, err)
	}
}

func TestNoMethodButDeltaADS(t *testing.T) {
	s := serve(t, xds.Options{})
	conn := dial(t, s)
	methods := []string{
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
		"/envoy.service.discovery.v2.AggregatedDiscoveryService/DeltaAggregatedResources",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/grpc.health.v1.Health/Check",
		"/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
		"/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
	}
	for _, svc := range [][2]string{
		{"cluster.v3.ClusterDiscoveryService", "Clusters"}, {"endpoint.v3.EndpointDiscoveryService", "Endpoints"},
		{"listener.v3.ListenerDiscoveryService", "Listeners"}, {"route.v3.RouteDiscoveryService", "Routes"},
		{"secret.v3.SecretDiscoveryService", "Secrets"}, {"runtime.v3.RuntimeDiscoveryService", "Runtime"},
		{"extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs"}, {"route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes"},
	} {
		for _, verb := range []string{"Fetch", "Stream", "Delta"} {
			methods = append(methods, "/envoy.service."+svc[0]+"/"+verb+svc[1])
		}
	}
	for _, m := range methods {
		for _, token := range []string{"", "t0"} {
			ctx := within(t, 5*time.Second)
			if token != "" {
				ctx = deltaclient.WithToken(ctx, token)
			}
			err := call(ctx, conn, m)
			require.Equal(t, codes.Unimplemented, status.Code(err), "%s with token %q: %v", m, token, err)
		}
	}
}

func TestPlaintextFails(t *testing.T) {
	s := serve(t, xds.Options{})
	conn, err := grpc.NewClient(s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	err = call(deltaclient.WithToken(within(t, 5*time.Second), "t0"), conn, deltaMethod)
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	old := &tls.Config{RootCAs: s.Roots, ServerName: xdsserver.Name, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	_, err = tls.Dial("tcp", s.Address, old)
	require.Error(t, err)
	_, err = xds.NewServer(s.Hub, s.Tokens, nil)
	require.ErrorContains(t, err, "certificate is required")
}

func TestGarbageOnTheSocketHarmsNobody(t *testing.T) {
	s := serve(t, xds.Options{})
	rnd := rand.New(rand.NewPCG(1, 2))
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for i := range 200 {
		var conn net.Conn
		var err error
		if i%2 == 0 {
			conn, err = net.Dial("tcp", s.Address)
		} else {
			conn, err = tls.Dial("tcp", s.Address, &tls.Config{RootCAs: s.Roots, ServerName: xdsserver.Name, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		}
		require.NoError(t, err)
		junk := make([]byte, rnd.IntN(2000))
		for j := range junk {
			junk[j] = byte(rnd.Uint32())
		}
		if i%4 >= 2 {
			junk = append([]byte(preface), junk...)
		}
		if i%8 == 7 && len(junk) > 40 { // a frame of plausible length and any type
			copy(junk[len(preface):], []byte{0, 0, byte(rnd.IntN(60)), byte(rnd.IntN(10)), byte(rnd.Uint32()), 0, 0, 0, byte(rnd.IntN(4))})
		}
		_, _ = conn.Write(junk)
		_ = conn.Close()
	}
	works(t, s)
}

func TestTooMuchIsRefused(t *testing.T) {
	s := serve(t, xds.Options{})
	conn := dial(t, s)
	open := func() discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient {
		stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(deltaclient.WithToken(within(t, 20*time.Second), "t0"))
		require.NoError(t, err)
		return stream
	}
	refused := func(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, req *discovery.DeltaDiscoveryRequest) {
		t.Helper()
		_ = stream.Send(req)
		for {
			if _, err := stream.Recv(); err != nil {
				require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
				return
			}
		}
	}
	big := &structpb.Struct{Fields: map[string]*structpb.Value{"x": structpb.NewStringValue(strings.Repeat("x", 3<<20))}}
	refused(open(), &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), Node: &corev3.Node{Metadata: big}})
	many := make([]string, 30000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	refused(open(), &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: many})
	refused(open(), &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: []string{strings.Repeat("n", 1000)}})
	err := call(metadata.AppendToOutgoingContext(within(t, 5*time.Second), "authorization", strings.Repeat("t", 100<<10)), conn, deltaMethod)
	require.Error(t, err, "headers of 100 KiB")
	works(t, s)
}

func TestAnothersSecretsAndEndpointsAreNotServed(t *testing.T) {
	s := serve(t, xds.Options{})
	conn := dial(t, s)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(deltaclient.WithToken(within(t, 20*time.Second), "t0"))
	require.NoError(t, err)
	liar := &corev3.Node{Id: "bookstore-9.bookstore", Cluster: store.String()}
	require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{
		Node: liar, TypeUrl: string(envoy.Cluster), InitialResourceVersions: map[string]string{"theirs": "v"}, ResourceNamesSubscribe: []string{"*", "theirs"},
	}))
	require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{
		TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: []string{"theirs", "*"}, InitialResourceVersions: map[string]string{"theirs": "v.v"},
	}))
	require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{
		Node: liar, TypeUrl: string(envoy.Secret), ResourceNamesSubscribe: []string{names.SecretServiceCert(store), "root-cert-for-mtls-inbound:x/y"},
	}))
	require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Listener)}))
	told := map[string]bool{}
	for len(told) < 3 {
		resp, err := stream.Recv()
		require.NoError(t, err)
		for _, r := range resp.GetResources() {
			require.NotContains(t, []string{"theirs", names.SecretServiceCert(store)}, r.GetName())
		}
		if resp.GetTypeUrl() == string(envoy.Endpoint) || resp.GetTypeUrl() == string(envoy.Secret) {
			require.Empty(t, resp.GetResources())
			for _, n := range resp.GetRemovedResources() {
				told[n] = true
			}
		}
		require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}))
	}
	require.Zero(t, s.Certs.Issued())
}

func TestATokenOfAnotherIdentityIsRefused(t *testing.T) {
	s := serve(t, xds.Options{})
	s.Tokens.Allow("wrong", xds.Peer{Pod: pod(0), Identity: store})
	err := call(deltaclient.WithToken(within(t, 5*time.Second), "wrong"), dial(t, s), deltaMethod)
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
}

func TestConnectionsAreCapped(t *testing.T) {
	s := serve(t, xds.Options{MaxConnections: func() int { return 1 }})
	p := connect(t, s, deltaclient.NewClient(), "t0")
	require.NoError(t, p.Wait(within(t, 5*time.Second), complete))
	err := call(deltaclient.WithToken(within(t, 5*time.Second), "t0"), dial(t, s), deltaMethod)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Equal(t, "too many connections", status.Convert(err).Message())
}

func TestAPodHasNoMoreThanTwoStreams(t *testing.T) {
	s := serve(t, xds.Options{})
	oldest := connect(t, s, deltaclient.NewClient(), "t0")
	require.NoError(t, oldest.Wait(within(t, 5*time.Second), complete))
	for range 2 {
		require.NoError(t, connect(t, s, deltaclient.NewClient(), "t0").Wait(within(t, 5*time.Second), complete))
	}
	err := <-oldest.end
	require.Equal(t, codes.Aborted, status.Code(err), "%v", err)
	oldest.end <- err
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	s := start(t, xds.Options{AnswerTimeout: 300 * time.Millisecond})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	s.Hub.SetView(xdstest.NewView().Add(pod(0), buyer, shop(1)...))
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(dial(t, s)).DeltaAggregatedResources(deltaclient.WithToken(within(t, 20*time.Second), "t0"))
	require.NoError(t, err)
	require.NoError(t, stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster)}))
	require.Eventually(t, func() bool { return s.Hub.Len() == 1 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return s.Hub.Len() == 0 }, 5*time.Second, time.Millisecond)
}

func TestAStreamThatSubscribesNothingIsCut(t *testing.T) {
	s := serve(t, xds.Options{ParkLimit: 200 * time.Millisecond})
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(dial(t, s)).DeltaAggregatedResources(deltaclient.WithToken(within(t, 10*time.Second), "t0"))
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
}
