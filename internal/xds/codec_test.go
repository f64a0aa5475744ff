package xds

import (
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
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
			resp.adds = append(resp.adds, delivery{with: rapid.StringN(0, 20, 40).Draw(t, "with"), res: anyResource(t, text)})
		}
		want := resp.message()
		pieces, err := newCodec().Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		copied, shared := resp.parts()
		if len(pieces) > 1+2*shared {
			t.Fatalf("%d pieces for %d parts that are referred to", len(pieces), shared)
		}
		if front := *pieces[0].(*mem.SliceBuffer); cap(front) != resp.frontSize()+copied {
			t.Fatalf("room for %d bytes was made, %d are wanted", cap(front), resp.frontSize()+copied)
		}
		if got := resp.frontSize() + contents(resp); pieces.Len() != got {
			t.Fatalf("%d bytes, %d are wanted", pieces.Len(), got)
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

// anyResource is one that was encoded whole, or a cluster that callers have in common.
func anyResource(t *rapid.T, text *rapid.Generator[string]) *envoy.Resource {
	name := text.Draw(t, "name")
	if rapid.Bool().Draw(t, "shared") {
		name = strings.ReplaceAll(name, "^", "") // no cluster's name has both marks of a gap, which Translate refuses
		set, err := envoy.Translate(ir.Proxy{Clusters: []ir.Cluster{{Name: name, Kind: ir.Mesh, Protocol: meshid.HTTP, CertSecret: text.Draw(t, "cert")}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return set.List(envoy.Cluster)[0]
	}
	value := &wrapperspb.BytesValue{Value: rapid.SliceOfN(rapid.Byte(), 0, 40000).Draw(t, "value")}
	r, err := envoy.NewResource(envoy.TypeURL(text.Draw(t, "type")), name, value)
	if err != nil {
		t.Fatal(err)
	}
	r.Version = text.Draw(t, "version")
	return r
}

func contents(resp *Response) (n int) {
	for _, d := range resp.adds {
		n += d.res.Size()
	}
	return n
}
