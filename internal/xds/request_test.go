package xds

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/envoy"
)

// same fails unless a request says what a message does.
func same(t require.TestingT, want *discovery.DeltaDiscoveryRequest, got *Request) {
	require.Equal(t, want.GetTypeUrl(), string(got.Type))
	require.Equal(t, want.GetResponseNonce(), got.Nonce)
	require.Equal(t, want.GetResourceNamesSubscribe(), got.Subscribe)
	require.Equal(t, want.GetResourceNamesUnsubscribe(), got.Unsubscribe)
	require.Equal(t, want.GetErrorDetail() != nil, got.Refused)
	require.Equal(t, want.GetErrorDetail().GetMessage(), got.Message)
	claims := map[string]string{}
	for _, c := range got.Claims {
		claims[c.Name] = c.Version
	}
	require.Len(t, claims, len(want.GetInitialResourceVersions()))
	for name, version := range want.GetInitialResourceVersions() {
		require.Equal(t, version, claims[name])
	}
}

// TestARequestIsReadAsProtobufReadsIt decodes what the standard encoder makes of any message.
func TestARequestIsReadAsProtobufReadsIt(t *testing.T) {
	text := rapid.StringN(0, 100, 200)
	names := rapid.SliceOfN(text, 0, 20)
	rapid.Check(t, func(t *rapid.T) {
		want := &discovery.DeltaDiscoveryRequest{
			TypeUrl: text.Draw(t, "type"), ResponseNonce: text.Draw(t, "nonce"),
			ResourceNamesSubscribe: names.Draw(t, "subscribe"), ResourceNamesUnsubscribe: names.Draw(t, "unsubscribe"),
			InitialResourceVersions: rapid.MapOfN(text, text, 0, 20).Draw(t, "versions"),
		}
		if rapid.Bool().Draw(t, "node") {
			want.Node = &corev3.Node{Id: text.Draw(t, "id"), Cluster: text.Draw(t, "cluster")}
		}
		if rapid.Bool().Draw(t, "refused") {
			want.ErrorDetail = &rpcstatus.Status{Code: 13, Message: text.Draw(t, "message"), Details: []*anypb.Any{{TypeUrl: "\x12x"}}}
		}
		b, err := proto.Marshal(want)
		require.NoError(t, err)
		var got Request
		require.NoError(t, newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got))
		if len(want.ResourceNamesSubscribe) == 0 {
			want.ResourceNamesSubscribe = nil
		}
		if len(want.ResourceNamesUnsubscribe) == 0 {
			want.ResourceNamesUnsubscribe = nil
		}
		same(t, want, &got)
	})
}

// FuzzDecodeRequest compares with the standard decoder, of whatever bytes; what that refuses inside of parts which are skipped
// here may be taken.
func FuzzDecodeRequest(f *testing.F) {
	b, err := proto.Marshal(&discovery.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "n"}, TypeUrl: string(envoy.Cluster), ResourceNamesSubscribe: []string{"*", "a"}, ResourceNamesUnsubscribe: []string{"b"},
		InitialResourceVersions: map[string]string{"a": "1", "": "2"}, ResponseNonce: "3", ErrorDetail: &rpcstatus.Status{Message: "no"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, b...))
	f.Add([]byte{0x12, 1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		want := &discovery.DeltaDiscoveryRequest{}
		var got Request
		wrong, err := proto.Unmarshal(b, want), decodeRequest(b, &got)
		if wrong == nil {
			require.NoError(t, err)
			same(t, want, &got)
		}
	})
}
