package xds

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Field numbers of DeltaDiscoveryRequest, of an entry of its map of versions, and of google.rpc.Status.
const (
	fieldRequestNode        protowire.Number = 1
	fieldRequestType        protowire.Number = 2
	fieldRequestSubscribe   protowire.Number = 3
	fieldRequestUnsubscribe protowire.Number = 4
	fieldRequestVersions    protowire.Number = 5
	fieldRequestNonce       protowire.Number = 6
	fieldRequestError       protowire.Number = 7

	fieldEntryName    protowire.Number = 1
	fieldEntryVersion protowire.Number = 2

	fieldStatusMessage protowire.Number = 2
)

// Request is what a session needs of a DeltaDiscoveryRequest. What the client says of itself, which is most of the first request
// of a real Envoy, is skipped. The strings are parts of one, so whoever keeps one longer than the request copies it.
type Request struct {
	Type                   envoy.TypeURL
	Nonce                  string
	Subscribe, Unsubscribe []string
	// Claims are what a reconnecting client says it holds; of several with one name the last counts.
	Claims []Claim
	// Refused is whether the response of the nonce was refused, and Message the client's reason.
	Refused bool
	Message string
}

// Claim is a resource and its version on the wire.
type Claim struct{ Name, Version string }

var errUTF8 = errors.New("a string is not UTF-8")

// decodeRequest reads what a client sent; an error ends the stream.
func decodeRequest(b []byte, req *Request) error {
	*req = Request{}
	return eachPart(b, "", req.set)
}

// eachPart calls f with every length-delimited field of a message, as bytes and as a part of text, which is the message as a
// string, or "": then it is made from the first field on that is not the node.
func eachPart(b []byte, text string, f func(field protowire.Number, part []byte, text string) error) error {
	whole := text != ""
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, typ, b); n < 0 {
			return malformed(n)
		}
		if typ == protowire.BytesType && (whole || field != fieldRequestNode) {
			if text == "" {
				text = string(b)
			}
			part, _ := protowire.ConsumeBytes(b)
			end := len(text) - len(b) + n
			if err := f(field, part, text[end-len(part):end]); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

func malformed(n int) error {
	return fmt.Errorf("xds: a request is malformed: %w", protowire.ParseError(n))
}

// set takes in one field.
func (r *Request) set(field protowire.Number, part []byte, text string) error {
	switch field {
	case fieldRequestVersions:
		return r.claim(part, text)
	case fieldRequestError:
		r.Refused = true
		return eachPart(part, text, func(field protowire.Number, _ []byte, text string) error {
			if field != fieldStatusMessage {
				return nil
			}
			return setString(&r.Message, text)
		})
	case fieldRequestType:
		return setString((*string)(&r.Type), text)
	case fieldRequestSubscribe:
		r.Subscribe = append(r.Subscribe, "")
		return setString(&r.Subscribe[len(r.Subscribe)-1], text)
	case fieldRequestUnsubscribe:
		r.Unsubscribe = append(r.Unsubscribe, "")
		return setString(&r.Unsubscribe[len(r.Unsubscribe)-1], text)
	case fieldRequestNonce:
		return setString(&r.Nonce, text)
	}
	return nil
}

// claim takes in an entry of the map of versions.
func (r *Request) claim(b []byte, text string) error {
	r.Claims = append(r.Claims, Claim{})
	c := &r.Claims[len(r.Claims)-1]
	return eachPart(b, text, func(field protowire.Number, _ []byte, text string) error {
		switch field {
		case fieldEntryName:
			return setString(&c.Name, text)
		case fieldEntryVersion:
			return setString(&c.Version, text)
		}
		return nil
	})
}

func setString(to *string, text string) error {
	if !utf8.ValidString(text) {
		return errUTF8
	}
	*to = text
	return nil
}
