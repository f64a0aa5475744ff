package meshid

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdentity(t *testing.T) {
	id := Identity{Namespace: "bookstore", ServiceAccount: "bookstore-v2"}
	require.Equal(t, "bookstore-v2.bookstore", id.String())
	require.Equal(t, "bookstore-v2.bookstore.cluster.local", id.Principal("cluster.local"))
	require.False(t, id.IsZero())
	require.True(t, Identity{}.IsZero())
	require.Negative(t, Identity{Namespace: "a", ServiceAccount: "z"}.Compare(Identity{Namespace: "b", ServiceAccount: "a"}))
	require.Negative(t, Identity{Namespace: "a", ServiceAccount: "a"}.Compare(Identity{Namespace: "a", ServiceAccount: "b"}))
}

func TestParseIdentity(t *testing.T) {
	for in, want := range map[string]Identity{
		"sa.ns":     {Namespace: "ns", ServiceAccount: "sa"},
		"a.b.c.ns":  {Namespace: "ns", ServiceAccount: "a.b.c"},
		"a-b.c-d":   {Namespace: "c-d", ServiceAccount: "a-b"},
		"default.x": {Namespace: "x", ServiceAccount: "default"},
	} {
		got, err := ParseIdentity(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
		require.Equal(t, in, got.String(), "there and back")
	}
	for _, in := range []string{"", ".", "sa", "sa.", ".ns"} {
		_, err := ParseIdentity(in)
		require.ErrorContains(t, err, "<serviceaccount>.<namespace>", "%q", in)
	}
}

func TestDetectProtocol(t *testing.T) {
	word := func(s string) *string { return &s }
	for _, c := range []struct {
		app  *string
		name string
		want Protocol
	}{
		{nil, "", HTTP}, {nil, "metrics", HTTP}, {nil, "http", HTTP}, {nil, "http-web", HTTP}, {nil, "grpc-api", GRPC}, {nil, "grpc", GRPC},
		{nil, "tcp-db", TCP}, {nil, "tcp", TCP}, {nil, "tcp-server-first", TCPServerFirst}, {nil, "tcp-server-first-db", TCPServerFirst},
		{nil, "tcpdump", HTTP}, {nil, "grpcweb", HTTP}, {nil, "https-web", HTTP},
		{word(""), "tcp-db", TCP}, {word("tcp"), "http-web", TCP}, {word("TCP"), "", TCP}, {word("Tcp-Server-First"), "", TCPServerFirst}, {word("GRPC"), "tcp-x", GRPC},
		{word("redis"), "http-web", Unsupported}, {word("https"), "", Unsupported}, {word("kubernetes.io/h2c"), "", Unsupported},
	} {
		require.Equal(t, c.want, DetectProtocol(c.app, c.name), "%v %q", c.app, c.name)
	}
	require.True(t, HTTP.IsHTTP() && GRPC.IsHTTP())
	require.False(t, TCP.IsHTTP() || TCPServerFirst.IsHTTP() || Unsupported.IsHTTP())
}

func TestServiceNames(t *testing.T) {
	s := Service{Namespace: "ns", Name: "svc"}
	require.Equal(t, "ns/svc", s.String())
	require.Equal(t, "svc.ns.svc.cluster.local", s.FQDN())
	require.Equal(t, "ns/svc:80", ServicePort{Service: s, Port: 80}.String())
	require.Positive(t, ServicePort{Service: s, Port: 81}.Compare(ServicePort{Service: s, Port: 80}))
	require.Equal(t, "ns/p", Pod{Namespace: "ns", Name: "p", UID: "u"}.String())
}
