package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	configapi "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/rootplan"
)

// objectsWorld is a control plane of several replicas before one API server.
type objectsWorld struct {
	t       *testing.T
	kube    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	ctx     context.Context
}

func meshConfigWith(on bool) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
		"metadata": map[string]any{"namespace": "osm-system", "name": "osm-mesh-config"},
		"spec":     map[string]any{"featureFlags": map[string]any{"enableMeshRootCertificate": on}},
	}}
}

func newObjectsWorld(t *testing.T, on bool) *objectsWorld {
	lists := map[schema.GroupVersionResource]string{configapi.MeshConfigs: "MeshConfigList", configapi.MeshRootCertificates: "MeshRootCertificateList"}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return &objectsWorld{t: t, ctx: ctx, kube: fake.NewClientset(), //nolint:gosec // ended above
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, meshConfigWith(on))}
}

func (w *objectsWorld) config() Config {
	return Config{Secrets: fakeSecrets{w.kube.CoreV1().Secrets("osm-system")}, Namespace: "osm-system", MeshName: "osm", Log: slog.New(slog.DiscardHandler),
		Overlap: 300 * time.Millisecond, Dynamic: w.dynamic, TrustDomain: "cluster.local"}
}

// replica starts one; a controller's proxies are as quick as it is.
func (w *objectsWorld) replica(name, component string, leads bool, replicas map[string][]string) *Authority {
	w.t.Helper()
	a, err := Open(w.ctx, w.config())
	require.NoError(w.t, err)
	go func() { _ = a.Run(w.ctx) }()
	go a.Acknowledge(w.ctx, Told{Component: component, Pod: name,
		Trusting: func(context.Context) bool { return true },
		Holding:  func(context.Context, string) (int, bool) { return 1, true }})
	if leads {
		go a.Lead(w.ctx, Mesh{Replicas: func(context.Context) (map[string][]string, error) { return replicas, nil }, Sidecars: func() int { return 2 }})
	}
	return a
}

func (w *objectsWorld) create(name, role, secret string) {
	w.t.Helper()
	_, err := w.dynamic.Resource(configapi.MeshRootCertificates).Namespace("osm-system").Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshRootCertificate",
		"metadata": map[string]any{"namespace": "osm-system", "name": name, "creationTimestamp": time.Now().UTC().Format(time.RFC3339)},
		"spec": map[string]any{"role": role, "trustDomain": "cluster.local",
			"provider": map[string]any{"tresor": map[string]any{"ca": map[string]any{"secretRef": map[string]any{"name": secret, "namespace": "osm-system"}}}}},
	}}, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

func (w *objectsWorld) flag(on bool) {
	w.t.Helper()
	_, err := w.dynamic.Resource(configapi.MeshConfigs).Namespace("osm-system").Update(w.ctx, meshConfigWith(on), metav1.UpdateOptions{})
	require.NoError(w.t, err)
}

func (w *objectsWorld) role(name, role string) {
	w.t.Helper()
	_, err := w.dynamic.Resource(configapi.MeshRootCertificates).Namespace("osm-system").Patch(w.ctx, name, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"role":%q}}`, role), metav1.PatchOptions{})
	require.NoError(w.t, err)
}

func (w *objectsWorld) status(name string) configapi.MeshRootCertificateStatus {
	w.t.Helper()
	u, err := w.dynamic.Resource(configapi.MeshRootCertificates).Namespace("osm-system").Get(w.ctx, name, metav1.GetOptions{})
	require.NoError(w.t, err)
	mrc := &configapi.MeshRootCertificate{}
	require.NoError(w.t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, mrc))
	return mrc.Status
}

func (w *objectsWorld) becomes(name, state string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.status(name).State == state }, 20*time.Second, 20*time.Millisecond, "%s does not become %s: %v", name, state, w)
}

func (w *objectsWorld) String() string {
	list, _ := w.dynamic.Resource(configapi.MeshRootCertificates).Namespace("osm-system").List(w.ctx, metav1.ListOptions{})
	text, _ := json.Marshal(list)
	return string(text)
}

// meet has a server with a certificate of one replica met by a client that trusts a bundle, with nothing else.
func meet(t *testing.T, server tls.Certificate, bundle []byte) error {
	t.Helper()
	c, s := net.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_ = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12}).Handshake()
		_ = s.Close()
	})
	err := tls.Client(c, &tls.Config{RootCAs: pool(t, bundle), ServerName: "bookbuyer.bookbuyer.cluster.local", MinVersion: tls.VersionTLS12}).Handshake()
	_ = c.Close()
	return err
}

func issued(t *testing.T, a *Authority) (*envoy.Resource, tls.Certificate) {
	t.Helper()
	res, _, err := NewIssuer(a, "cluster.local").Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	_, pair := decode(t, res)
	return res, pair
}

func TestRootsOfObjects(t *testing.T) {
	w := newObjectsWorld(t, true)
	replicas := map[string][]string{rootplan.ComponentController: {"c0", "c1"}, rootplan.ComponentInjector: {"i0"}}
	w.create("first", "active", "osm-ca-bundle")
	leader := w.replica("c0", rootplan.ComponentController, true, replicas)
	other := w.replica("c1", rootplan.ComponentController, false, nil)
	injector := w.replica("i0", rootplan.ComponentInjector, false, nil)
	all := []*Authority{leader, other, injector}
	w.becomes("first", "active")
	first := leader.RootID()
	require.Equal(t, first, w.status("first").Root)
	oldBundle := leader.TrustBundle()
	_, oldPair := issued(t, other)
	agree := func(root string) {
		t.Helper()
		require.Eventually(t, func() bool {
			for _, a := range all {
				if a.RootID() != root {
					return false
				}
			}
			return true
		}, 5*time.Second, 10*time.Millisecond)
	}
	agree(first)

	w.create("second", "passive", "osm-ca-bundle-2")
	w.becomes("second", "passive")
	second := w.status("second").Root
	require.NotEqual(t, first, second)
	agree(first)
	for _, a := range all {
		require.Len(t, mustParse(t, a.TrustBundle()), 2)
	}

	w.role("second", "active")
	w.becomes("second", "active")
	w.becomes("first", "passive")
	agree(second)
	_, newPair := issued(t, other)
	require.NoError(t, meet(t, newPair, leader.TrustBundle()))
	require.NoError(t, meet(t, oldPair, leader.TrustBundle()), "certificates in use stay good")
	require.NoError(t, meet(t, newPair, oldBundle), "who knows the former root alone accepts the new one by the cross certificate")

	w.role("first", "passive")
	w.role("first", "inactive")
	w.becomes("first", "inactive")
	require.Eventually(t, func() bool { return len(mustParse(t, injector.TrustBundle())) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.Error(t, meet(t, oldPair, injector.TrustBundle()))
	require.Empty(t, w.status("second").FormerRoots)
	restarted := w.replica("c2", rootplan.ComponentController, false, nil)
	require.Equal(t, second, restarted.RootID())
	require.Equal(t, leader.TrustBundle(), restarted.TrustBundle())
	_, pair := issued(t, restarted)
	require.NoError(t, meet(t, pair, oldBundle))

	// The flag goes: what signs goes on, and the Secret's root takes over as it always did.
	_, err := w.dynamic.Resource(configapi.MeshConfigs).Namespace("osm-system").Patch(w.ctx, "osm-mesh-config", types.MergePatchType,
		[]byte(`{"spec":{"featureFlags":{"enableMeshRootCertificate":false}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	agree(first)
	require.NoError(t, meet(t, newPair, leader.TrustBundle()))
	require.False(t, leader.Roots().On)
}

func mustParse(t *testing.T, bundle []byte) []*x509.Certificate {
	t.Helper()
	list, err := signer.ParseCertificates(bundle)
	require.NoError(t, err)
	return list
}

// TestTheFlagGoesOnLater: the first object takes over the root there is, and nothing is issued anew.
func TestTheFlagGoesOnLater(t *testing.T) {
	w := newObjectsWorld(t, false)
	w.create("first", "active", "osm-ca-bundle")
	a := w.replica("c0", rootplan.ComponentController, true, map[string][]string{rootplan.ComponentController: {"c0"}})
	root, bundle, signs := a.RootID(), a.TrustBundle(), a.SignerChanged()
	require.Empty(t, w.status("first").State)
	w.flag(true)
	w.becomes("first", "active")
	require.Equal(t, root, a.RootID())
	require.Equal(t, bundle, a.TrustBundle())
	select {
	case <-signs:
		t.Fatal("certificates are issued anew")
	default:
	}
}

// TestBadObjects are ignored alone and say why.
func TestBadObjects(t *testing.T) {
	w := newObjectsWorld(t, true)
	w.create("first", "active", "osm-ca-bundle")
	a := w.replica("c0", rootplan.ComponentController, true, map[string][]string{rootplan.ComponentController: {"c0"}})
	w.becomes("first", "active")
	bundle := a.TrustBundle()

	_, err := w.kube.CoreV1().Secrets("osm-system").Create(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "half", Namespace: "osm-system"},
		Data: map[string][]byte{"ca.crt": bundle}}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.create("half", "passive", "half")
	w.becomes("half", "error")
	require.Equal(t, "E4002", a.Roots().Problems["half"].Code)
	require.Contains(t, a.Roots().Problems["half"].Message, "Secret osm-system/half: key private.key is missing or empty")
	require.Equal(t, bundle, a.TrustBundle())

	// The signer's Secret is deleted: it goes on, and is not made anew with another root.
	require.NoError(t, w.kube.CoreV1().Secrets("osm-system").Delete(w.ctx, "osm-ca-bundle", metav1.DeleteOptions{}))
	require.Eventually(t, func() bool { return a.Roots().Problems["first"].Message != "" }, 5*time.Second, 10*time.Millisecond)
	require.Contains(t, a.Roots().Problems["first"].Message, "is gone; put it back from a backup")
	require.Equal(t, bundle, a.TrustBundle())
	require.Equal(t, "active", w.status("first").State)
	_, err = Open(w.ctx, w.config())
	require.ErrorContains(t, err, "MeshRootCertificate osm-system/first, which signs, cannot be used")
}
