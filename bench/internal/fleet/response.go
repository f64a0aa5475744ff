package fleet

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Field numbers of DeltaDiscoveryResponse and Resource.
const (
	fieldResources protowire.Number = 2
	fieldType      protowire.Number = 4
	fieldNonce     protowire.Number = 5
	fieldRemoved   protowire.Number = 6

	fieldVersion protowire.Number = 1
	fieldBody    protowire.Number = 2
	fieldName    protowire.Number = 3
)

// response is what a sidecar looks at in a DeltaDiscoveryResponse. A thousand sidecars that took every message apart and kept a
// copy of it would take the processor time that the program measured needs.
type response struct {
	typ       envoy.TypeURL
	nonce     string
	resources []resource
	removed   []string
	// size is of the encoded message, in bytes.
	size int
	buf  mem.Buffer
}

// resource is one of them; body is its google.protobuf.Any, encoded, and is there until the response is freed.
type resource struct {
	name, version string
	body          []byte
}

func (r *response) free() { r.buf.Free() }

// codec is the protobuf codec, save for a response.
type codec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	resp, ok := v.(*response)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	*resp = response{size: data.Len(), buf: data.MaterializeToBuffer(mem.DefaultBufferPool())}
	if err := eachField(resp.buf.ReadOnlyData(), resp.set); err != nil {
		resp.free()
		return err
	}
	return nil
}

// eachField calls f with every length-delimited field of a message.
func eachField(b []byte, f func(field protowire.Number, content []byte) error) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		if typ == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(b)
			if err := f(field, content); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

func (r *response) set(field protowire.Number, content []byte) error {
	switch field {
	case fieldType:
		r.typ = envoy.TypeURL(content)
	case fieldNonce:
		r.nonce = string(content)
	case fieldRemoved:
		r.removed = append(r.removed, string(content))
	case fieldResources:
		r.resources = append(r.resources, resource{})
		return eachField(content, r.resources[len(r.resources)-1].set)
	}
	return nil
}

func (r *resource) set(field protowire.Number, content []byte) error {
	switch field {
	case fieldName:
		r.name = string(content)
	case fieldVersion:
		r.version = string(content)
	case fieldBody:
		r.body = content
	}
	return nil
}
