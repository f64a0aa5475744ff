package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/rootplan"
)

// rootSettle is how long a step of a change of root lasts at least: for the API server, and for ingress controllers that read a
// Secret.
const rootSettle = 5 * time.Second

// lookEvery is how often the leader looks at who is there while a root is made known, lingerEvery while certificates of a former
// root may be in use.
const (
	lookEvery   = time.Second
	lingerEvery = 5 * time.Second
)

// Mesh is what the leader asks of the mesh.
type Mesh struct {
	// Replicas are the ready pods of the control plane that use certificates, by component.
	Replicas func(ctx context.Context) (map[string][]string, error)
	// Sidecars is how many running pods have a sidecar.
	Sidecars func() int
}

// Lead takes the mesh from one root to another, step by step, while this replica leads: until ctx ends.
func (a *Authority) Lead(ctx context.Context, mesh Mesh) {
	if a.cfg.Dynamic == nil {
		return
	}
	for {
		changed := a.RootsChanged()
		pause, err := a.leadOnce(ctx, mesh)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			a.cfg.Log.Warn("a step of the change of root could not be made; it will be tried again", "error", err)
			pause = readRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// leadOnce makes the next step, if it is time, and returns how long nothing happens by itself.
func (a *Authority) leadOnce(ctx context.Context, mesh Mesh) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	r := a.Roots()
	if !r.On || len(r.Objects) == 0 {
		return rereadEvery, nil
	}
	replicas, err := mesh.Replicas(ctx)
	if err != nil {
		return 0, err
	}
	present := a.trust.Load().signer
	in := rootplan.Input{
		Now: a.now(), Objects: r.Objects, Present: rootplan.Present{Root: present.ID}, Replicas: replicas, Sidecars: mesh.Sidecars(),
		Settle: min(rootSettle, a.cfg.Overlap), Overlap: a.cfg.Overlap, Longest: a.longest(),
	}
	for _, c := range present.Trusted {
		in.Present.Certificate += string(signer.CertificatePEM(c))
	}
	out := in.Advance()
	if out.Began != "" {
		a.cross(ctx, r, &out)
	}
	wrote, err := a.writeStatuses(ctx, r, out)
	if wrote {
		if reread := a.Reread(ctx); err == nil {
			err = reread
		}
	}
	pause := rereadEvery
	if out.Wait > 0 {
		pause = out.Wait
	}
	for _, st := range out.Statuses {
		pause = min(pause, urgency(st))
	}
	return pause, err
}

// urgency is how soon to look again at what an object waits for; rereadEvery when it waits for nothing.
func urgency(st config.MeshRootCertificateStatus) time.Duration {
	switch {
	case st.State == config.RootValidatingRollout || st.State == config.RootIssuingRollout:
		return lookEvery
	case st.State == config.RootIssuingRollback || len(st.FormerRoots) > 0:
		return lingerEvery
	}
	return rereadEvery
}

// cross has the root that signed before certify the one that begins, so that who trusts the former alone, as a sidecar that started
// before does of the control plane, accepts certificates of the latter.
func (a *Authority) cross(ctx context.Context, r *Roots, out *rootplan.Output) {
	next := r.byName[out.Began]
	st := out.Statuses[out.Began]
	by := a.trust.Load().signer
	if before, ok := r.byName[r.Signer]; ok {
		by = before
	}
	if st.CrossCertificates != "" { // it has signed before, and those who know an even older root need what it had then
		return
	}
	crosser, can := by.Signer.(signer.Crosser)
	if by.ID != out.Before || !can {
		a.warn(ctx, fmt.Errorf("root %s cannot certify root %s of MeshRootCertificate %s: sidecars that run now know the control plane by the former alone; "+
			"restart the applications before the control plane restarts", out.Before, next.ID, out.Began))
		return
	}
	c, err := crosser.Cross(next.Cert)
	if err != nil {
		a.warn(ctx, fmt.Errorf("MeshRootCertificate %s: %w: sidecars that run now know the control plane by root %s alone; restart the applications "+
			"before the control plane restarts", out.Began, err, out.Before))
		return
	}
	chain := []*x509.Certificate{c}
	if before, ok := r.Object(r.Signer); ok {
		chain = append(chain, a.crossCertificates(before)...)
	}
	st.CrossCertificates = ""
	for _, c := range onePerKey(chain) {
		st.CrossCertificates += string(signer.CertificatePEM(c))
	}
	out.Statuses[out.Began] = st
}

// onePerKey keeps the first certificate of each key: verifiers try one path, not all there are.
func onePerKey(list []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range list {
		if !slices.ContainsFunc(out, func(o *x509.Certificate) bool {
			return bytes.Equal(o.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
		}) {
			out = append(out, c)
		}
	}
	return out
}

// writeStatuses writes what changed, the signer's first: as long as two say that they sign, the later one does.
func (a *Authority) writeStatuses(ctx context.Context, r *Roots, out rootplan.Output) (wrote bool, err error) {
	order := []string{out.Signer}
	for _, o := range r.Objects {
		if o.Name != out.Signer {
			order = append(order, o.Name)
		}
	}
	for _, name := range order {
		o, ok := r.Object(name)
		if !ok {
			continue
		}
		next := out.Statuses[name]
		patch, err := statusPatch(o.Status, next)
		if err != nil {
			return wrote, err
		}
		if len(patch) == 0 {
			continue
		}
		if err := a.patchStatus(ctx, name, patch); err != nil {
			return wrote, err
		}
		wrote = true
		if next.State != o.Status.State {
			a.cfg.Log.Info("a MeshRootCertificate has come further", "object", name, "root", next.Root, "state", next.State, "before", o.Status.State)
		}
	}
	return wrote, nil
}

func (a *Authority) patchStatus(ctx context.Context, name string, status map[string]any) error {
	text, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	if _, err := a.meshRootCertificates().Patch(ctx, name, types.MergePatchType, text, metav1.PatchOptions{}, "status"); err != nil && !absent(err) {
		return fmt.Errorf("cannot write the status of MeshRootCertificate %s/%s: %w", a.cfg.Namespace, name, err)
	}
	return nil
}

// statusPatch is the merge patch from one status to another. Conditions belong to others, and so does what replicas have said
// meanwhile.
func statusPatch(from, to config.MeshRootCertificateStatus) (map[string]any, error) {
	to.Conditions, to.ObservedGeneration = from.Conditions, from.ObservedGeneration
	before, err := fieldsOf(from)
	if err != nil {
		return nil, err
	}
	after, err := fieldsOf(to)
	if err != nil {
		return nil, err
	}
	return mergePatch(before, after), nil
}

func fieldsOf(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

// mergePatch is RFC 7386's, from one object to another.
func mergePatch(before, after map[string]any) map[string]any {
	patch := map[string]any{}
	for k := range before {
		if _, stays := after[k]; !stays {
			patch[k] = nil
		}
	}
	for k, v := range after {
		inner, isMap := v.(map[string]any)
		old, wasMap := before[k].(map[string]any)
		switch {
		case reflect.DeepEqual(before[k], v):
		case isMap && wasMap:
			patch[k] = mergePatch(old, inner)
		default:
			patch[k] = v
		}
	}
	return patch
}
