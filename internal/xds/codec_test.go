package xds

import (
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/envoy"
)

// TestTheCodecSaysWhatProtobufSays compares the encoding of any response that a session can make with the message
// that the standard decoder reads from it.
func TestTheCodecSaysWhatProtobufSays(t *testing.T) {
	text := rapid.StringN(0, 200, 400)
	rapid.Check(t, func(t *rapid.T) {
		resp := &Response{
			Type: envoy.TypeURL(text.Draw(t, "type")), Generation: rapid.Uint64().Draw(t, "generation"), Nonce: text.Draw(t, "nonce"),
			removes: rapid.SliceOf(text).Draw(t, "removed"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "resources") {
			resp.adds = append(resp.adds, delivery{with: rapid.StringN(0, 20, 40).Draw(t, "with"), res: &envoy.Resource{
				Name: text.Draw(t, "name"), Version: text.Draw(t, "version"),
				Body: &anypb.Any{TypeUrl: text.Draw(t, "type"), Value: rapid.SliceOfN(rapid.Byte(), 0, 40000).Draw(t, "value")},
			}})
		}
		want := resp.message()
		pieces, err := newCodec().Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		if front := *pieces[0].(*mem.SliceBuffer); cap(front) != sum(pieces, func(i int) bool { return i == 0 || i%2 == 1 }) {
			t.Fatalf("room for %d bytes was made", cap(front))
		}
		if pieces.Len() != resp.Size() {
			t.Fatalf("%d bytes, announced as %d", pieces.Len(), resp.Size())
		}
		got := &discovery.DeltaDiscoveryResponse{}
		if err := proto.Unmarshal(pieces.Materialize(), got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func sum(pieces mem.BufferSlice, which func(i int) bool) (n int) {
	for i, p := range pieces {
		if which(i) {
			n += p.Len()
		}
	}
	return n
}
