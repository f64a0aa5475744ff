package envoy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"weak"

	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/ir"
)

// form is the encoding of a cluster as all callers have it whose certificates' names are of one length, with a gap where that
// name stands. In permissive mode every kind of sidecar has every cluster, and nothing but that name tells them apart: kept
// whole for each they would take services × services × 1 kB.
type form struct {
	body     []byte // the gap is filled with gapFiller
	at, size int    // of the gap
	name     string
	others   []Ref // without that to the certificate
	onDemand bool
}

// gapFillers are in no name of Kubernetes, so what is found of one is the gap. Should something else that a user wrote be full
// of the first, it is not of the second.
var gapFillers = []string{"~", "^"}

// formAt is a form by the place of the cluster that callers have in common, which it does not keep in memory.
type formAt struct {
	alike weak.Pointer[ir.Cluster]
	size  int
	with  digest
}

// called adds a cluster of a service. tls is part of it.
func (t *translator) called(c ir.Cluster, tls ir.TLS) {
	f := t.formOf(c, tls)
	if t.err != nil {
		return
	}
	if t.before != nil {
		if r := t.before.Get(Cluster, c.Name); r != nil && r.form == f && r.cert == c.CertSecret {
			t.out = append(t.out, r)
			return
		}
	}
	t.out = append(t.out, f.resource(c.CertSecret))
}

func (t *translator) formOf(c ir.Cluster, tls ir.TLS) *form {
	m, alike := t.memory, c.Alike
	at := formAt{weak.Make(alike), len(c.CertSecret), t.digestOfTLS(tls)}
	if alike != nil {
		m.mu.Lock()
		f := m.formsAt[at]
		m.mu.Unlock()
		if f != nil {
			return f
		}
	}
	c.CertSecret = strings.Repeat(gapFillers[0], len(c.CertSecret))
	f, err := recall(m, m.forms, digestOf(clusterWith{c, tls}), func() (*form, error) { return newForm(c, tls) })
	if err != nil {
		t.err = err
		return nil
	}
	if alike != nil {
		m.mu.Lock()
		m.formsAt[at] = f
		m.mu.Unlock()
	}
	return f
}

// newForm encodes a cluster with a gap of the size of its certificate's name.
func newForm(c ir.Cluster, tls ir.TLS) (*form, error) {
	size := len(c.CertSecret)
	for _, filler := range gapFillers {
		c.CertSecret = strings.Repeat(filler, size)
		whole, err := NewResource(Cluster, c.Name, meshCluster(c, tls), Ref{Endpoint, c.Name}, Ref{Secret, c.TrustSecret})
		if err != nil {
			return nil, err
		}
		body := whole.body.GetValue()
		if at := bytes.Index(body, []byte(c.CertSecret)); at == bytes.LastIndex(body, []byte(c.CertSecret)) || size == 0 {
			return &form{body: body, at: at, size: size, name: c.Name, others: whole.Refs, onDemand: c.OnDemand}, nil
		}
	}
	return nil, fmt.Errorf("cluster %s has names of %d characters %s", c.Name, size, strings.Join(gapFillers, " or "))
}

// resource is the cluster of callers that show this certificate. Its version is that of the bytes, as everywhere.
func (f *form) resource(cert string) *Resource {
	r := &Resource{Type: Cluster, Name: f.name, OnDemand: f.onDemand, form: f, cert: cert}
	refs := append(make([]Ref, 0, len(f.others)+1), f.others...)
	refs = append(refs, Ref{Secret, cert})
	slices.SortFunc(refs, Ref.Compare)
	r.Refs = slices.Compact(refs)
	h := sha256.New()
	for _, piece := range r.Pieces() {
		h.Write(piece)
	}
	r.Version = hex.EncodeToString(h.Sum(nil)[:versionBytes])
	return r
}

// Pieces is the encoded content; its pieces lie one after the other, and some are empty. The caller must not change them.
func (r *Resource) Pieces() [3][]byte {
	if r.form == nil {
		return [3][]byte{r.body.GetValue()}
	}
	f := r.form
	return [3][]byte{f.body[:f.at], []byte(r.cert), f.body[f.at+f.size:]}
}

// Size is how many bytes the encoded content has.
func (r *Resource) Size() int {
	if r.form == nil {
		return len(r.body.GetValue())
	}
	return len(r.form.body)
}

// Body is the content with its type, or nil when it is not known here.
func (r *Resource) Body() *anypb.Any {
	if r.form == nil {
		return r.body
	}
	pieces := r.Pieces()
	return &anypb.Any{TypeUrl: string(r.Type), Value: slices.Concat(pieces[0], pieces[1], pieces[2])}
}

// Known reports whether the content is known here: of what a client says it holds, name and version may be all that is.
func (r *Resource) Known() bool { return r.form != nil || r.body != nil }
