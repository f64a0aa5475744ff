package xds

import (
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"
)

// TestTheCodecSaysWhatProtobufSays compares the encoding of any response that a session can make with the message
// that the standard decoder reads from it.
func TestTheCodecSaysWhatProtobufSays(t *testing.T) {
	text := rapid.StringN(0, 200, 400)
	rapid.Check(t, func(t *rapid.T) {
		want := &discovery.DeltaDiscoveryResponse{
			SystemVersionInfo: text.Draw(t, "system"), TypeUrl: text.Draw(t, "type"), Nonce: text.Draw(t, "nonce"),
			RemovedResources: rapid.SliceOf(text).Draw(t, "removed"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "resources") {
			want.Resources = append(want.Resources, &discovery.Resource{
				Name: text.Draw(t, "name"), Version: text.Draw(t, "version"),
				Resource: &anypb.Any{TypeUrl: text.Draw(t, "type"), Value: rapid.SliceOfN(rapid.Byte(), 0, 40000).Draw(t, "value")},
			})
		}
		pieces, err := newCodec().Marshal(want)
		if err != nil {
			t.Fatal(err)
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
