package certs

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/core/rootplan"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// How MeshRootCertificates and authorities outside of the control plane go together: an object never names such an authority, the
// chart's values do, and then no object has an effect.

// outside reports whether an authority outside of the control plane signs.
func (a *Authority) outside() bool {
	_, own := a.cfg.Provider.(tresor.Provider)
	return !own
}

// anotherProvider is what is wrong with an object of another provider than tresor in a mesh that takes its roots from objects.
func anotherProvider(p *config.ProviderSpec) rootplan.Problem {
	field, kind, value := "spec.provider", "", "is empty"
	switch {
	case p.Vault != nil:
		field, kind, value = "spec.provider.vault", ProviderVault, fmt.Sprintf("host %q", p.Vault.Host)
	case p.CertManager != nil:
		field, kind, value = "spec.provider.certManager", ProviderCertManager, fmt.Sprintf("issuerName %q", p.CertManager.IssuerName)
	}
	cure := "name a Secret in spec.provider.tresor"
	if kind != "" {
		cure = fmt.Sprintf("delete the object; a mesh gets its certificates from there with the chart value osm.certificateProvider.kind=%s "+
			"(docs/guides/certificates.md)", kind)
	}
	return rootplan.Problem{Reason: "ProviderNotAvailable", Message: fmt.Sprintf("%s: %s: a MeshRootCertificate has a root of the provider tresor; %s", field, value, cure)}
}

// withoutEffect says of each object that it has none.
func (a *Authority) withoutEffect(list *unstructured.UnstructuredList) *Roots {
	out := &Roots{byName: map[string]*signer.Root{}}
	out.Problems = map[string]rootplan.Problem{}
	for i := range list.Items {
		mrc := &config.MeshRootCertificate{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, mrc); err != nil {
			continue // an object that has no effect anyway
		}
		out.Problems[mrc.Name] = rootplan.Problem{Reason: "ProviderElsewhere", Message: fmt.Sprintf(
			"spec.provider: the mesh's certificates come from %s, as the chart value osm.certificateProvider.kind says, so the object has no effect; "+
				"delete it, and change the root there", a.cfg.Provider)}
		if mrc.Spec.Provider.Tresor != nil && rootplan.InUse(rootplan.Object{Name: mrc.Name, Status: mrc.Status}) {
			out.leftBehind = append(out.leftBehind, mrc.Name)
		}
	}
	return out
}

// changeProvider is the root to begin with in a mesh that had roots of objects when it was last seen. Its sidecars trust those roots
// alone as long as control planes that follow the objects run, so certificates of another one would be refused. Once an authority
// outside has written its root in front of the Secret's, the change has been made and what the objects' statuses say is old.
func (a *Authority) changeProvider(ctx context.Context, objects []string) (*signer.Root, error) {
	s, err := a.cfg.Secrets.Get(ctx, a.cfg.SecretName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, errcode.Errorf(errcode.FetchingCertSecret, "cannot read Secret %s: %w", a.where(), err)
	}
	if err == nil && a.begunOutside(s.Data) {
		return a.loadOrCreate(ctx)
	}
	return nil, errcode.Errorf(errcode.InvalidMRCCombination, "MeshRootCertificate %s of namespace %s: sidecars trust its root and would refuse certificates of %s: "+
		"set spec.featureFlags.enableMeshRootCertificate of MeshConfig %s to false, wait a minute until certificates of Secret %s are in use, "+
		"and then upgrade to the new osm.certificateProvider.kind", strings.Join(objects, ", "), a.cfg.Namespace, a.cfg.Provider, a.cfg.ConfigName, a.where())
}

// begunOutside reports whether the Secret's first root is not the one whose key the Secret holds.
func (a *Authority) begunOutside(data map[string][]byte) bool {
	own, err := tresor.Provider{}.Parse(a.where(), data, a.now())
	return err != nil || !own.Cert.Equal(own.Trusted[0])
}
