package certs

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/core/policy/meshrootcertificate"
	"openservicemesh.io/osm/internal/core/rootplan"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Roots is what the objects come to at one moment. Immutable.
type Roots struct {
	// On is whether the mesh takes its roots from MeshRootCertificates: its MeshConfig says so, and it signs with keys of its own.
	On      bool
	Objects []rootplan.Object
	rootplan.Choice
	// byName are the roots that can be used, by the name of their object.
	byName map[string]*signer.Root
	// secrets are the names of the Secrets behind the objects.
	secrets []string
	// leftBehind are objects whose roots an authority outside would not know, although certificates of them may be in use.
	leftBehind []string
}

// Object finds one by its name.
func (r *Roots) Object(name string) (rootplan.Object, bool) {
	for _, o := range r.Objects {
		if o.Name == name {
			return o, true
		}
	}
	return rootplan.Object{}, false
}

// Roots is what the objects come to now; never nil.
func (a *Authority) Roots() *Roots { return a.roots.Load() }

// RootsChanged returns a channel that is closed when the objects, or what is behind them, change.
func (a *Authority) RootsChanged() <-chan struct{} { return a.rootsChanged.next() }

func (a *Authority) meshRootCertificates() dynamic.ResourceInterface {
	return a.cfg.Dynamic.Resource(config.MeshRootCertificates).Namespace(a.cfg.Namespace)
}

// readRoots reads the flag and, where it is on, the objects and the Secrets behind them.
func (a *Authority) readRoots(ctx context.Context) (*Roots, error) {
	out := &Roots{byName: map[string]*signer.Root{}}
	if a.cfg.Dynamic == nil {
		return out, nil
	}
	var err error
	if out.On, err = a.takesObjects(ctx); err != nil || !out.On {
		return out, err
	}
	list, err := a.meshRootCertificates().List(ctx, metav1.ListOptions{})
	if absent(err) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the MeshRootCertificates of namespace %s: %w", a.cfg.Namespace, err)
	}
	if a.outside() {
		return a.withoutEffect(list), nil
	}
	for i := range list.Items {
		if err := a.readObject(ctx, out, &list.Items[i]); err != nil {
			return nil, err
		}
	}
	out.Choice = rootplan.Choose(out.Objects)
	return out, nil
}

// absent reports whether there is no object, or no such kind yet.
func absent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

func (a *Authority) takesObjects(ctx context.Context) (bool, error) {
	u, err := a.cfg.Dynamic.Resource(config.MeshConfigs).Namespace(a.cfg.Namespace).Get(ctx, a.cfg.ConfigName, metav1.GetOptions{})
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read MeshConfig %s/%s: %w", a.cfg.Namespace, a.cfg.ConfigName, err)
	}
	on, _, _ := unstructured.NestedBool(u.Object, "spec", "featureFlags", meshrootcertificate.Flag)
	return on, nil
}

// readObject adds one object. What is wrong with it is its own problem; an error means that the API server did not answer.
func (a *Authority) readObject(ctx context.Context, out *Roots, u *unstructured.Unstructured) error {
	o := rootplan.Object{Name: u.GetName(), Created: u.GetCreationTimestamp().Time}
	mrc := &config.MeshRootCertificate{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, mrc); err != nil {
		o.Role, o.Problem = config.RoleInactive, rootplan.Problem{Reason: "Unreadable", Code: string(errcode.UnmarshallingKubernetesObject), Message: err.Error()}
		out.Objects = append(out.Objects, o)
		return nil //nolint:nilerr // what is wrong with the object is told in its status
	}
	o.Role, o.Status = mrc.Spec.Role, mrc.Status
	switch reason, message := meshrootcertificate.Unusable(mrc, a.cfg.TrustDomain); {
	case message != "":
		o.Problem = rootplan.Problem{Reason: reason, Message: message}
	case mrc.Spec.Provider.Tresor == nil:
		o.Problem = anotherProvider(&mrc.Spec.Provider)
	case o.Role == config.RoleInactive && !rootplan.InUse(o):
		// Nobody needs it, so its Secret is neither read nor made.
	default:
		secret := mrc.Spec.Provider.Tresor.CA.SecretRef.Name
		out.secrets = append(out.secrets, secret)
		r, err := a.readRoot(ctx, secret, o.Status.Root)
		if err != nil && errcode.Of(err) == "" {
			return err
		}
		if err != nil {
			o.Problem = rootplan.Problem{Reason: "SecretNotUsable", Code: string(errcode.Of(err)), Message: "spec.provider.tresor.ca.secretRef: " + err.Error()}
			break
		}
		o.Root = r.ID
		for _, c := range r.Trusted {
			o.Certificate += string(signer.CertificatePEM(c))
		}
		out.byName[o.Name] = r
	}
	out.Objects = append(out.Objects, o)
	return nil
}

// readRoot reads a Secret, or makes it when its object has had no root before: one that has lost its Secret must not come back
// with another root unnoticed. An error without a code says nothing of the Secret: the API server did not answer.
func (a *Authority) readRoot(ctx context.Context, secret, before string) (*signer.Root, error) {
	where := a.cfg.Namespace + "/" + secret
	provider := tresor.Provider{}
	for range openAttempts {
		s, err := a.cfg.Secrets.Get(ctx, secret, metav1.GetOptions{})
		switch {
		case err == nil:
			return provider.Parse(where, s.Data, a.now())
		case apierrors.IsForbidden(err):
			return nil, errcode.Errorf(errcode.FetchingCertSecret, "Secret %s must not be read: the control plane's Role allows that with the chart value "+
				"osm.featureFlags.enableMeshRootCertificate=true; run `osm mesh upgrade` with it: %w", where, err)
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("cannot read Secret %s: %w", where, err)
		case before != "":
			return nil, errcode.Errorf(errcode.FetchingCertSecret, "Secret %s, which held root %s, is gone; put it back from a backup, "+
				"or make another MeshRootCertificate active", where, before)
		}
		r, data, err := provider.Create(ctx, a.now())
		if err != nil {
			return nil, err
		}
		err = a.createSecret(ctx, secret, data)
		if err == nil {
			a.cfg.Log.Info("made a new root certificate", "secret", where, "root", r.ID, "expires", r.Cert.NotAfter)
			return r, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	return nil, errcode.Errorf(errcode.CreatingCertSecret, "Secret %s was created and deleted by others %d times in a row", where, openAttempts)
}

// openRoot is the root to sign with at start.
func (a *Authority) openRoot(ctx context.Context, r *Roots) (*signer.Root, error) {
	if r.On && r.Signer != "" {
		if root := r.byName[r.Signer]; root != nil {
			return root, nil
		}
		if root := r.byName[r.Target]; root != nil {
			if o, _ := r.Object(r.Target); rootplan.InUse(o) {
				return root, nil
			}
		}
		o, _ := r.Object(r.Signer)
		return nil, errcode.Errorf(errcode.InvalidCA, "MeshRootCertificate %s/%s, which signs, cannot be used: %s", a.cfg.Namespace, o.Name, o.Problem.Message)
	}
	if len(r.leftBehind) > 0 {
		return a.changeProvider(ctx, r.leftBehind)
	}
	if root := r.byName[r.Target]; r.On && root != nil {
		_, err := a.cfg.Secrets.Get(ctx, a.cfg.SecretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) { // a new mesh, whose first root is the object's
			return root, nil
		}
	}
	return a.loadOrCreate(ctx)
}
