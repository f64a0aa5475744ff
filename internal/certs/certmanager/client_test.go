package certmanager

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/pki"
)

type cluster struct {
	*fake.FakeDynamicClient
	client *Client
	names  int
}

// newCluster has an API server that names what has no name.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{FakeDynamicClient: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{Resource: "CertificateRequestList"})}
	c.PrependReactor("create", "certificaterequests", func(a k8stesting.Action) (bool, runtime.Object, error) {
		obj := a.(k8stesting.CreateAction).GetObject().(*unstructured.Unstructured)
		if obj.GetName() == "" {
			obj.SetCreationTimestamp(metav1.Now())
			c.names++
			obj.SetName(obj.GetGenerateName() + string(rune('a'+c.names)))
		}
		return false, nil, nil
	})
	c.client = New(Options{Dynamic: c, Namespace: "osm-system", MeshName: "osm", Log: slog.New(slog.DiscardHandler),
		Issuer: Issuer{"osm-ca", "Issuer", "cert-manager.io"}})
	return c
}

// answer plays cert-manager: it sets the status of each request as f says.
func (c *cluster) answer(t *testing.T, f func(spec map[string]any) map[string]any) {
	t.Helper()
	w, err := c.Resource(Resource).Namespace("osm-system").Watch(context.Background(), metav1.ListOptions{})
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	go func() {
		for e := range w.ResultChan() {
			obj := e.Object.(*unstructured.Unstructured).DeepCopy()
			if _, done := obj.Object["status"]; done || e.Type == "DELETED" {
				continue
			}
			obj.Object["status"] = f(obj.Object["spec"].(map[string]any))
			go c.keepSaying(t.Context(), obj)
		}
	}()
}

// keepSaying sets a request's status until the request is gone: a fake keeps no history, and the client may not watch yet.
func (c *cluster) keepSaying(ctx context.Context, obj *unstructured.Unstructured) {
	for ctx.Err() == nil {
		if _, err := c.Resource(Resource).Namespace("osm-system").Update(ctx, obj, metav1.UpdateOptions{}); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func condition(kind, status, reason, message string) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": reason, "message": message}
}

func template(t *testing.T) *x509.Certificate {
	t.Helper()
	tmpl, err := pki.Workload(meshid.Identity{Namespace: "shop", ServiceAccount: "cart"}, "cluster.local", pki.NewWindow(time.Now(), 24*time.Hour, time.Time{}))
	require.NoError(t, err)
	return tmpl
}

func (c *cluster) left(t *testing.T) int {
	t.Helper()
	list, err := c.Resource(Resource).Namespace("osm-system").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return len(list.Items)
}

func TestARequestIsAnsweredAndDeleted(t *testing.T) {
	c := newCluster(t)
	key := certtest.Key(t, elliptic.P256())
	ca := certtest.CA(t, "ca", key, nil, nil, nil)
	var asked map[string]any
	c.answer(t, func(spec map[string]any) map[string]any {
		asked = spec
		text, _ := base64.StdEncoding.DecodeString(spec["request"].(string))
		block, _ := pem.Decode(text)
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || csr.CheckSignature() != nil {
			return map[string]any{"conditions": []any{condition("Ready", "False", "Failed", "bad request")}}
		}
		der, _ := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: csr.Subject, DNSNames: csr.DNSNames,
			NotAfter: time.Now().Add(time.Hour)}, ca, csr.PublicKey, key)
		return map[string]any{
			"certificate": base64.StdEncoding.EncodeToString(certtest.Block("CERTIFICATE", der)),
			"ca":          base64.StdEncoding.EncodeToString(signer.CertificatePEM(ca)),
			"conditions":  []any{condition("Approved", "True", "", ""), condition("Ready", "True", "Issued", "")},
		}
	})
	l, err := c.client.Ask(t.Context(), template(t))
	require.NoError(t, err)
	require.True(t, l.Root.Equal(ca))
	leaf, err := x509.ParseCertificate(l.DER)
	require.NoError(t, err)
	require.Equal(t, []string{"cart.shop.cluster.local"}, leaf.DNSNames)
	require.Equal(t, "cart.shop.cluster.local", leaf.Subject.CommonName)
	require.Equal(t, map[string]any{"name": "osm-ca", "kind": "Issuer", "group": "cert-manager.io"}, asked["issuerRef"])
	require.Equal(t, []any{"digital signature", "server auth", "client auth"}, asked["usages"])
	require.Equal(t, "24h0m0s", asked["duration"])
	require.Zero(t, c.left(t))
}

func TestWhyThereIsNoCertificate(t *testing.T) {
	forbidden := apierrors.NewForbidden(Resource.GroupResource(), "", errors.New("no"))
	missing := apierrors.NewNotFound(Resource.GroupResource(), "")
	status := func(c ...any) map[string]any { return map[string]any{"conditions": c} }
	for name, tt := range map[string]struct {
		create error
		status map[string]any
		want   string
		waits  bool // for what does not come, until its time is over
	}{
		"not installed":  {missing, nil, "the cluster has no CertificateRequest.cert-manager.io: install cert-manager", false},
		"no right":       {forbidden, nil, "osm.certificateProvider.kind=cert-manager, which grants it", false},
		"denied":         {nil, status(condition("Denied", "True", "policy", "not on a Monday")), "denied by an approver: not on a Monday", false},
		"failed":         {nil, status(condition("Ready", "False", "Failed", "no such curve")), "no such curve", false},
		"invalid":        {nil, status(condition("InvalidRequest", "True", "", "odd")), "found invalid: odd", false},
		"issuer missing": {nil, status(condition("Approved", "True", "", ""), condition("Ready", "False", "Pending", `Referenced "Issuer" not found`)), `Referenced "Issuer" not found (context deadline exceeded)`, true},
		"nobody there":   {nil, status(), "nobody has approved the request; is cert-manager (or another approver) running?", true},
		"odd issuer":     {nil, status(condition("Approved", "True", "", "")), "does it serve this kind of issuer?", true},
		"nonsense":       {nil, status(condition("Ready", "True", "", "")), "holds no PEM block CERTIFICATE", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			if tt.create != nil {
				c.PrependReactor("create", "certificaterequests", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, tt.create })
			}
			c.answer(t, func(map[string]any) map[string]any { return tt.status })
			patience := time.Minute
			if tt.waits {
				patience = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := c.client.Ask(ctx, template(t))
			require.ErrorContains(t, err, tt.want)
			require.Zero(t, c.left(t), "the request is left behind")
		})
	}
}

// A program that ended before an answer has left its request; somebody else's stay.
func TestLeftOverRequestsAreSwept(t *testing.T) {
	c := newCluster(t)
	add := func(name string, age time.Duration, labels map[string]string) {
		obj := &unstructured.Unstructured{}
		obj.SetAPIVersion("cert-manager.io/v1")
		obj.SetKind("CertificateRequest")
		obj.SetName(name)
		obj.SetNamespace("osm-system")
		obj.SetLabels(labels)
		obj.SetCreationTimestamp(metav1.NewTime(time.Now().Add(-age)))
		_, err := c.Resource(Resource).Namespace("osm-system").Create(t.Context(), obj, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	add("old", time.Hour, map[string]string{labelMesh: "osm"})
	add("fresh", time.Second, map[string]string{labelMesh: "osm"})
	add("other-mesh", time.Hour, map[string]string{labelMesh: "two"})
	add("other", time.Hour, nil)
	c.client.sweep(t.Context())
	list, err := c.Resource(Resource).Namespace("osm-system").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, i := range list.Items {
		names = append(names, i.GetName())
	}
	require.ElementsMatch(t, []string{"fresh", "other-mesh", "other"}, names)
}
