package xds

import (
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of DeltaDiscoveryResponse, Resource and google.protobuf.Any.
const (
	fieldSystemVersion protowire.Number = 1
	fieldResources     protowire.Number = 2
	fieldTypeURL       protowire.Number = 4
	fieldNonce         protowire.Number = 5
	fieldRemoved       protowire.Number = 6

	fieldResourceVersion protowire.Number = 1
	fieldResourceBody    protowire.Number = 2
	fieldResourceName    protowire.Number = 3

	fieldAnyType  protowire.Number = 1
	fieldAnyValue protowire.Number = 2
)

// sharing is the protobuf codec, but a response is not copied together: the encoded resources, which a thousand
// proxies may be sent at the same time, are referred to where they are.
type sharing struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return sharing{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c sharing) Marshal(v any) (mem.BufferSlice, error) {
	resp, ok := v.(*discovery.DeltaDiscoveryResponse)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	return encodeResponse(resp), nil
}

// encodeResponse encodes the fields that Session sets. The pieces must not be changed while they are sent.
func encodeResponse(resp *discovery.DeltaDiscoveryResponse) mem.BufferSlice {
	var head []byte
	head = appendString(head, fieldSystemVersion, resp.GetSystemVersionInfo())
	head = appendString(head, fieldTypeURL, resp.GetTypeUrl())
	head = appendString(head, fieldNonce, resp.GetNonce())
	for _, name := range resp.GetRemovedResources() {
		head = protowire.AppendTag(head, fieldRemoved, protowire.BytesType)
		head = protowire.AppendString(head, name)
	}
	out := make(mem.BufferSlice, 0, 1+2*len(resp.GetResources()))
	out = append(out, mem.SliceBuffer(head))
	for _, r := range resp.GetResources() {
		value := r.GetResource().GetValue()
		var body []byte // of the Any, up to its value
		body = appendString(body, fieldAnyType, r.GetResource().GetTypeUrl())
		body = protowire.AppendTag(body, fieldAnyValue, protowire.BytesType)
		body = protowire.AppendVarint(body, uint64(len(value)))
		var front []byte // of the Resource, up to the Any
		front = appendString(front, fieldResourceVersion, r.GetVersion())
		front = appendString(front, fieldResourceName, r.GetName())
		front = protowire.AppendTag(front, fieldResourceBody, protowire.BytesType)
		front = protowire.AppendVarint(front, uint64(len(body)+len(value)))
		front = append(front, body...)
		piece := make([]byte, 0, len(front)+2*protowire.SizeVarint(1<<30))
		piece = protowire.AppendTag(piece, fieldResources, protowire.BytesType)
		piece = protowire.AppendVarint(piece, uint64(len(front)+len(value)))
		out = append(out, mem.SliceBuffer(append(piece, front...)), mem.SliceBuffer(value))
	}
	return out
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}
