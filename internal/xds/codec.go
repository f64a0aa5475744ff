package xds

import (
	"strconv"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Field numbers of DeltaDiscoveryResponse, Resource and google.protobuf.Any. All are below 16, so that a tag is one byte.
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

// Response is a DeltaDiscoveryResponse that a session owes its client. It refers to resources where they are and must not be
// changed.
type Response struct {
	Type       envoy.TypeURL
	Generation uint64
	Nonce      string
	adds       []delivery
	removes    []string
}

// Resources is how many resources the response adds or changes.
func (r *Response) Resources() int { return len(r.adds) }

// Size is how many bytes the response has, before compression and framing.
func (r *Response) Size() int {
	size := r.frontSize()
	for _, d := range r.adds {
		size += d.res.Size()
	}
	return size
}

// frontSize is how many bytes it has without the encoded contents of the resources.
func (r *Response) frontSize() int {
	size := sizeString(r.system()) + sizeString(string(r.Type)) + sizeString(r.Nonce)
	for _, name := range r.removes {
		size += 1 + protowire.SizeBytes(len(name))
	}
	for _, d := range r.adds {
		n := sizesOf(d)
		size += 1 + protowire.SizeVarint(uint64(n.resource)) + n.resource - d.res.Size()
	}
	return size
}

// system is the version of the whole.
func (r *Response) system() string { return strconv.FormatUint(r.Generation, 10) }

// sharing is the protobuf codec, but a response is not copied together: the encoded resources, which a thousand
// proxies may be sent at the same time, are referred to where they are; and of a request what nobody reads is skipped.
type sharing struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return sharing{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c sharing) Marshal(v any) (mem.BufferSlice, error) {
	resp, ok := v.(*Response)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	return encodeResponse(resp), nil
}

// Unmarshal implements encoding.CodecV2.
func (c sharing) Unmarshal(data mem.BufferSlice, v any) error {
	req, ok := v.(*Request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return decodeRequest(buf.ReadOnlyData(), req)
}

// sharedLeast is how many bytes a part of a resource has at least that is referred to. Shorter ones are copied: gRPC's writer makes
// a list of the pieces of each frame of 16 KiB anew if they are more than 64.
const sharedLeast = 512

// encodeResponse encodes a response: long parts of encoded resources are pieces of their own, and what lies between them lies in
// one allocation.
func encodeResponse(resp *Response) mem.BufferSlice {
	copied, shared := resp.parts()
	front := make([]byte, 0, resp.frontSize()+copied)
	front = appendString(front, fieldSystemVersion, resp.system())
	front = appendString(front, fieldTypeURL, string(resp.Type))
	front = appendString(front, fieldNonce, resp.Nonce)
	for _, name := range resp.removes {
		front = protowire.AppendTag(front, fieldRemoved, protowire.BytesType)
		front = protowire.AppendString(front, name)
	}
	pieces, begin := make([]mem.SliceBuffer, 0, 1+2*shared), 0
	for _, d := range resp.adds {
		front = appendFront(front, d)
		for _, p := range d.res.Pieces() {
			if len(p) < sharedLeast {
				front = append(front, p...)
				continue
			}
			pieces = append(pieces, front[begin:], p)
			begin = len(front)
		}
	}
	if begin < len(front) {
		pieces = append(pieces, front[begin:])
	}
	out := make(mem.BufferSlice, 0, len(pieces))
	for i := range pieces {
		out = append(out, &pieces[i])
	}
	return out
}

// parts are how many bytes of the encoded resources are copied, and how many parts of them are referred to.
func (r *Response) parts() (copied, shared int) {
	for _, d := range r.adds {
		for _, p := range d.res.Pieces() {
			if len(p) < sharedLeast {
				copied += len(p)
			} else {
				shared++
			}
		}
	}
	return copied, shared
}

// sizes are encoded lengths: of the version, of the Any in the Resource, and of the Resource in the response.
type sizes struct{ version, any, resource int }

func sizesOf(d delivery) sizes {
	var n sizes
	n.version = len(d.res.Version)
	if d.with != "" {
		n.version += len(versionSeparator) + len(d.with)
	}
	n.any = sizeString(string(d.res.Type)) + 1 + protowire.SizeBytes(d.res.Size())
	n.resource = sizeString(d.res.Name) + 1 + protowire.SizeBytes(n.any)
	if n.version > 0 {
		n.resource += 1 + protowire.SizeBytes(n.version)
	}
	return n
}

// appendFront appends a resource of a response up to its encoded content.
func appendFront(b []byte, d delivery) []byte {
	n := sizesOf(d)
	b = protowire.AppendTag(b, fieldResources, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n.resource))
	if n.version > 0 {
		b = protowire.AppendTag(b, fieldResourceVersion, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(n.version))
		b = append(b, d.res.Version...)
		if d.with != "" {
			b = append(append(b, versionSeparator...), d.with...)
		}
	}
	b = appendString(b, fieldResourceName, d.res.Name)
	b = protowire.AppendTag(b, fieldResourceBody, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n.any))
	b = appendString(b, fieldAnyType, string(d.res.Type))
	b = protowire.AppendTag(b, fieldAnyValue, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(d.res.Size()))
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// sizeString is how much appendString appends.
func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}
