package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/core/rootplan"
)

const (
	// readPatience bounds one reading of the objects, readRetry is the pause after one that failed.
	readPatience = 20 * time.Second
	readRetry    = 2 * time.Second
	// rereadEvery is how often the objects are read although nothing is said to have changed: a root may have expired.
	rereadEvery = 5 * time.Minute
)

// followObjects keeps in step with the MeshConfig's flag, the objects and their Secrets until ctx ends.
func (a *Authority) followObjects(ctx context.Context) {
	if a.cfg.Dynamic == nil {
		return
	}
	dirty := make(chan struct{}, 1)
	wake := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	go a.watchObjects(config.MeshConfigs, fields.OneTermEqualSelector(metav1.ObjectNameField, a.cfg.ConfigName).String(), wake).RunWithContext(ctx)
	go a.watchObjects(config.MeshRootCertificates, "", wake).RunWithContext(ctx)
	secrets := map[string]context.CancelFunc{}
	for {
		pause := rereadEvery
		if err := a.Reread(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			a.cfg.Log.Warn("the MeshRootCertificates could not be read; the roots stay as they are, and it will be tried again", "error", err)
			pause = readRetry
		}
		a.watchSecrets(ctx, secrets, wake)
		select {
		case <-ctx.Done():
			return
		case <-dirty:
		case <-time.After(pause):
		}
	}
}

// watchObjects calls wake at every change of a kind's objects in the namespace. What they say is read anew, not taken from here,
// so little of them is kept.
func (a *Authority) watchObjects(r schema.GroupVersionResource, only string, wake func()) cache.SharedIndexInformer {
	c := a.cfg.Dynamic.Resource(r).Namespace(a.cfg.Namespace)
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return c.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return c.Watch(ctx, o)
		},
	}, a.cfg.Dynamic)
	inf := cache.NewSharedIndexInformer(lw, &unstructured.Unstructured{}, 0, cache.Indexers{})
	_ = inf.SetTransform(func(obj any) (any, error) { // fails only on an informer that has started
		if u, ok := obj.(*unstructured.Unstructured); ok {
			slim := &unstructured.Unstructured{Object: map[string]any{"apiVersion": u.GetAPIVersion(), "kind": u.GetKind()}}
			slim.SetNamespace(u.GetNamespace())
			slim.SetName(u.GetName())
			slim.SetResourceVersion(u.GetResourceVersion())
			return slim, nil
		}
		return obj, nil
	})
	_, _ = inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { wake() }, UpdateFunc: func(_, _ any) { wake() }, DeleteFunc: func(any) { wake() },
	})
	return inf
}

// watchSecrets watches exactly the Secrets behind the objects.
func (a *Authority) watchSecrets(ctx context.Context, watched map[string]context.CancelFunc, wake func()) {
	wanted := a.Roots().secrets
	for _, name := range wanted {
		if watched[name] == nil {
			watching, cancel := context.WithCancel(ctx) //nolint:gosec // cancel is called below, or ctx ends
			watched[name] = cancel
			go a.informer(name, func(*corev1.Secret) { wake() }).RunWithContext(watching)
		}
	}
	for name, cancel := range watched {
		if !slices.Contains(wanted, name) {
			cancel()
			delete(watched, name)
		}
	}
}

// Reread reads the objects and takes up what they say.
func (a *Authority) Reread(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	a.reading.Lock()
	defer a.reading.Unlock()
	r, err := a.readRoots(ctx)
	if err != nil {
		return err
	}
	before := a.roots.Swap(r)
	switch {
	case r.On:
		a.adopt(r)
	case before.On:
		a.release(ctx)
	}
	a.rootsChanged.fire()
	return nil
}

// adopt makes the trust what the objects say. Without a signer among them the root that signs goes on.
func (a *Authority) adopt(r *Roots) {
	a.changing.Lock()
	defer a.changing.Unlock()
	old := a.trust.Load()
	n := trust{signer: old.signer, retired: old.retired, retiredUntil: old.retiredUntil, managed: true}
	if root := r.byName[r.Signer]; root != nil {
		n.signer = root
	}
	if root := r.byName[r.Target]; root != nil && root.ID != n.signer.ID {
		n.next = root
	}
	if o, ok := r.Object(r.Signer); ok && o.Root == n.signer.ID {
		n.cross = a.crossCertificates(o)
	}
	for _, name := range r.Trusted {
		if root := r.byName[name]; root.ID != n.signer.ID {
			n.others = append(n.others, root.Trusted...)
		}
	}
	for _, f := range rootplan.Roots(r.Objects) {
		if list, err := signer.ParseCertificates([]byte(f.Certificate)); err == nil {
			n.others = append(n.others, list...)
		}
	}
	a.replace(old, newTrust(n, a.now()))
}

// crossCertificates are those of an object's status that fit its root and have not ended.
func (a *Authority) crossCertificates(o rootplan.Object) []*x509.Certificate {
	if o.Status.CrossCertificates == "" {
		return nil
	}
	list, err := signer.ParseCertificates([]byte(o.Status.CrossCertificates))
	if err != nil {
		a.cfg.Log.Warn("the cross certificates of a MeshRootCertificate cannot be read, and are not sent", "object", o.Name, "error", err)
		return nil
	}
	return slices.DeleteFunc(list, func(c *x509.Certificate) bool { return !a.now().Before(c.NotAfter) })
}

// replace puts a new trust in force and tells what changed.
func (a *Authority) replace(old, n *trust) {
	signs := n.signer.ID != old.signer.ID
	told := !bytes.Equal(n.bundle, old.bundle)
	if !signs && !told && n.managed == old.managed && sameID(n.next, old.next) && slices.EqualFunc(n.cross, old.cross, (*x509.Certificate).Equal) {
		return
	}
	a.trust.Store(n)
	if told {
		a.cfg.Log.Info("the roots that are trusted changed", "signing_root", n.signer.ID, "trusted", n.ids(a.now()))
		a.bundleChanged.fire()
	}
	if signs {
		a.cfg.Log.Info("another root certificate signs from now on", "root", n.signer.ID, "before", old.signer.ID)
		a.signerChanged.fire()
	}
}

func sameID(a, b *signer.Root) bool {
	return a == nil && b == nil || a != nil && b != nil && a.ID == b.ID
}

// release goes back to the Secret alone. What was trusted stays so until the last certificate has ended.
func (a *Authority) release(ctx context.Context) {
	a.changing.Lock()
	old := a.trust.Load()
	n := *old
	n.managed, n.next = false, nil
	n.retired = &signer.Root{ID: "of MeshRootCertificates", Trusted: append(slices.Clone(old.others), old.signer.Trusted...)}
	n.retiredUntil, n.others = a.now().Add(a.longest()), nil
	a.replace(old, newTrust(n, a.now()))
	a.changing.Unlock()
	a.cfg.Log.Info("the mesh takes its root from the Secret again", "secret", a.where())
	if s, err := a.cfg.Secrets.Get(ctx, a.cfg.SecretName, metav1.GetOptions{}); err == nil {
		a.see(ctx, s)
	}
}

// longest is how long a certificate that is issued now may live.
func (a *Authority) longest() time.Duration {
	return max(time.Duration(a.validity.Load()), pki.ServerValidity, pki.DefaultServiceValidity) + pki.Backdate
}
