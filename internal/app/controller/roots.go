package controller

import (
	"bytes"
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/meshrootcertificate"
	"openservicemesh.io/osm/internal/core/rootplan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// lead is what one replica alone does, while it leads.
func (p *program) lead(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { p.gateway.Run(ctx) })
	wg.Go(func() { p.authority.Lead(ctx, certs.Mesh{Replicas: p.replicas, Sidecars: p.sidecars}) })
}

// replicas are the ready pods of the control plane that use certificates, by component.
func (p *program) replicas(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	for _, app := range []string{rootplan.ComponentController, rootplan.ComponentInjector} {
		list, err := p.kube.Pods(p.o.OSMNamespace).List(ctx, metav1.ListOptions{LabelSelector: names.LabelApp + "=" + app})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			pod := &list.Items[i]
			ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
			if ready && pod.DeletionTimestamp == nil {
				out[app] = append(out[app], pod.Name)
			}
		}
	}
	return out, nil
}

// sidecars is how many pods with a sidecar run.
func (p *program) sidecars() int {
	v := p.view.Load()
	if v == nil {
		return 1 << 30 // nothing is known yet, so nothing is proven
	}
	n := 0
	for _, pod := range v.Snapshot().Pods {
		if pod.ProxyUUID != "" && !pod.Finished && len(pod.IPs) > 0 {
			n++
		}
	}
	return n
}

// acknowledgeRoots writes how far this replica, its proxies and its webhook have come with each root.
func (p *program) acknowledgeRoots(ctx context.Context) {
	p.authority.Acknowledge(ctx, certs.Told{
		Component: rootplan.ComponentController, Pod: replica(), Trusting: p.trusting, Holding: p.holding,
	})
}

// trusting reports whether the proxies of this replica and its webhook configuration have the present bundle.
func (p *program) trusting(ctx context.Context) bool {
	bundle := p.authority.TrustBundle()
	announced, view := p.announcedRoots.Load(), p.view.Load()
	if announced == nil || !bytes.Equal(*announced, bundle) || view == nil || !bytes.Equal(view.Roots(), bundle) {
		return false
	}
	return p.hub.Behind(ctx, envoy.Secret) == 0
}

// holding is how many proxies of this replica hold a certificate of a root, each pod counted once, and whether all do.
func (p *program) holding(ctx context.Context, root string) (int, bool) {
	pods, all := map[string]bool{}, true
	for _, s := range p.hub.Progress(ctx) {
		if id, _, ok := certs.ParseVersion(s.Certificate); ok && id == root {
			pods[s.Peer.Pod.UID] = true
		} else {
			all = false
		}
	}
	return len(pods), all
}

// tellRoots has what is wrong with MeshRootCertificates told, as soon as it is known.
func (p *program) tellRoots(ctx context.Context) {
	for {
		changed := p.authority.RootsChanged()
		p.rollout.publish()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// rootFindings are what is wrong with MeshRootCertificates beyond what they say themselves.
func (p *program) rootFindings() []snapshot.Finding {
	if p.authority == nil {
		return nil
	}
	r := p.authority.Roots()
	var out []snapshot.Finding
	for name, x := range r.Problems {
		out = append(out, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: meshrootcertificate.Kind, Namespace: p.o.OSMNamespace, Name: name},
			Severity: snapshot.Error, Reason: x.Reason, Code: x.Code, Message: x.Message})
	}
	return out
}
