package certs

import (
	"context"
	"crypto/x509"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// learn begins to trust a root with which an authority elsewhere signs all of a sudden: it writes it into the CA Secret, in front
// of those before it, where every replica finds it. From then on it is a root that changed in the Secret.
func (a *Authority) learn(ctx context.Context, root *x509.Certificate) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if a.trust.Load().knows(root) {
		return nil
	}
	data, err := a.publish(ctx, root)
	if err != nil {
		return err
	}
	r, err := a.cfg.Provider.Parse(a.where(), data, a.now())
	if err != nil {
		return err
	}
	a.cfg.Log.Warn("the certificate authority signs with another root; it is trusted beside the former one from now on, and its "+
		"certificates are handed out after the overlap", "root", pki.RootID(root.Raw), "subject", root.Subject.String(), "overlap", a.cfg.Overlap.String())
	a.take(r)
	return nil
}

// publish returns the Secret's data with root in ca.crt. Other keys stay: replicas that still sign with a key there need it.
func (a *Authority) publish(ctx context.Context, root *x509.Certificate) (map[string][]byte, error) {
	for range openAttempts {
		s, err := a.cfg.Secrets.Get(ctx, a.cfg.SecretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			data := map[string][]byte{names.CABundleCertKey: signer.CertificatePEM(root)}
			if err := a.createSecret(ctx, a.cfg.SecretName, data); err == nil || !apierrors.IsAlreadyExists(err) {
				return data, err
			}
			continue
		}
		if err != nil {
			return nil, errcode.Errorf(errcode.FetchingCertSecret, "cannot read Secret %s: %w", a.where(), err)
		}
		bundle, changed := a.prepend(root, s.Data[names.CABundleCertKey])
		if !changed {
			return s.Data, nil
		}
		s = s.DeepCopy()
		s.Data = maps.Clone(s.Data)
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[names.CABundleCertKey] = bundle
		if _, err = a.cfg.Secrets.Update(ctx, s, metav1.UpdateOptions{}); err == nil {
			return s.Data, nil
		}
		if !apierrors.IsConflict(err) {
			return nil, errcode.Errorf(errcode.RotatingCert, "cannot write the root certificate %s into Secret %s: %w", pki.RootID(root.Raw), a.where(), err)
		}
	}
	return nil, errcode.Errorf(errcode.RotatingCert, "Secret %s was changed by others %d times in a row: find who changes it", a.where(), openAttempts)
}

// prepend puts root in front of the certificates of bundle that have not expired; false when it is there already.
func (a *Authority) prepend(root *x509.Certificate, bundle []byte) ([]byte, bool) {
	before, _ := signer.ParseCertificates(bundle) // what cannot be read is replaced
	if slices.ContainsFunc(before, root.Equal) {
		return nil, false
	}
	out := signer.CertificatePEM(root)
	for _, c := range before {
		if a.now().Before(c.NotAfter) {
			out = append(out, signer.CertificatePEM(c)...)
		}
	}
	return out, true
}
