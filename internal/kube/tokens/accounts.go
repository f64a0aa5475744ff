package tokens

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/kube/kubeapi"
)

// Accounts knows which service accounts exist and keeps nothing of them but their UIDs. It is a cache.ReflectorStore.
type Accounts struct {
	mu   sync.RWMutex
	uids map[meshid.Identity]string
}

// NewAccounts knows none until Run.
func NewAccounts() *Accounts { return &Accounts{uids: map[meshid.Identity]string{}} }

// Run watches the service accounts of all namespaces until ctx ends. Without the right to, none is ever known.
func (a *Accounts) Run(ctx context.Context, c kubeapi.Client[*corev1.ServiceAccount, *corev1.ServiceAccountList]) {
	everything := func(*metav1.ListOptions) {}
	cache.NewReflectorWithOptions(kubeapi.ListWatch(c, c, everything), &corev1.ServiceAccount{}, a,
		cache.ReflectorOptions{Name: "serviceaccounts"}).RunWithContext(ctx)
}

// UID returns the UID of a service account; false when it is not known to exist.
func (a *Accounts) UID(id meshid.Identity) (string, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	uid, ok := a.uids[id]
	return uid, ok
}

// Add stores an account.
func (a *Accounts) Add(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uids[identity(m)] = string(m.GetUID())
	return nil
}

// Update stores an account.
func (a *Accounts) Update(obj any) error { return a.Add(obj) }

// Delete forgets an account.
func (a *Accounts) Delete(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.uids, identity(m))
	return nil
}

// Replace makes the list all there is.
func (a *Accounts) Replace(list []any, _ string) error {
	uids := make(map[meshid.Identity]string, len(list))
	for _, obj := range list {
		m, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		uids[identity(m)] = string(m.GetUID())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uids = uids
	return nil
}

// Resync does nothing: no change is missed.
func (a *Accounts) Resync() error { return nil }

func identity(m metav1.Object) meshid.Identity {
	return meshid.Identity{Namespace: m.GetNamespace(), ServiceAccount: m.GetName()}
}
