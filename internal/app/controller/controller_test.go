package controller

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/figure"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

const patience = 20 * time.Second

// world is the whole program before a fake API server that knows one pod, "shop/cart-0", and its token "good".
type world struct {
	t       *testing.T
	kube    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	program *program
	stop    context.CancelFunc
	done    chan struct{}
	err     error // of the program, once done
	conns   []*grpc.ClientConn
	log     bytes.Buffer
}

func meshConfig(permissive, debug bool) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
		"metadata": map[string]any{"namespace": "osm-system", "name": "osm-mesh-config"},
		"spec": map[string]any{
			"traffic":       map[string]any{"enablePermissiveTrafficPolicyMode": permissive},
			"observability": map[string]any{"enableDebugServer": debug, "osmLogLevel": "debug"},
		},
	}}
}

func newWorld(t *testing.T) *world {
	labels := map[string]string{"app": "cart", "osm-proxy-uuid": "uuid-0"}
	kube := fake.NewSimpleClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"openservicemesh.io/monitored-by": "osm"}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "cart"}, Ports: []corev1.ServicePort{{Port: 80}}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-0", UID: "uid-0", Labels: labels},
			Spec: corev1.PodSpec{ServiceAccountName: "cart"}, Status: corev1.PodStatus{PodIP: "10.1.0.1"}},
	)
	lists := map[schema.GroupVersionResource]string{configv1alpha2.MeshConfigs: "MeshConfigList"}
	for _, k := range policy.Kinds() {
		lists[k.Resource] = k.Name + "List"
	}
	for r := range lists {
		kube.Resources = append(kube.Resources, &metav1.APIResourceList{
			GroupVersion: r.GroupVersion().String(), APIResources: []metav1.APIResource{{Name: r.Resource}}})
	}
	mergeGroups(kube)
	kube.PrependReactor("create", "tokenreviews", reviewToken)
	w := &world{t: t, kube: kube, dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, meshConfig(true, false))}

	var o Options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.Bind(fs)
	require.NoError(t, fs.Parse([]string{"--mesh-name=osm", "--osm-namespace=osm-system", "--validator-webhook-config=osm-validator-mesh-osm"}))
	require.NoError(t, o.Check())
	metrics := obs.NewMetrics()
	at := addresses{ads: freeport.Address(t), http: freeport.Address(t), debug: freeport.Address(t), webhook: freeport.Address(t), admin: freeport.Address(t)}
	w.program = newProgram(o, clientset.Of(kube), w.dynamic, obs.NewLogging(&w.log, false, metrics.ErrorCode), metrics, at)
	w.program.lameDuck = 50 * time.Millisecond
	return w
}

// mergeGroups joins the lists of one group and version, as an API server answers.
func mergeGroups(kube *fake.Clientset) {
	byGroup := map[string]*metav1.APIResourceList{}
	for _, l := range kube.Resources {
		if first := byGroup[l.GroupVersion]; first != nil {
			first.APIResources = append(first.APIResources, l.APIResources...)
		} else {
			byGroup[l.GroupVersion] = l
		}
	}
	kube.Resources = nil
	for _, l := range byGroup {
		kube.Resources = append(kube.Resources, l)
	}
}

func reviewToken(action ktesting.Action) (bool, runtime.Object, error) {
	r := action.(ktesting.CreateAction).GetObject().(*authv1.TokenReview).DeepCopy()
	if r.Spec.Token == "good" && r.Spec.Audiences[0] == "osm-ads.osm.osm-system" {
		r.Status = authv1.TokenReviewStatus{Authenticated: true, Audiences: r.Spec.Audiences, User: authv1.UserInfo{
			Username: "system:serviceaccount:shop:cart",
			Extra: map[string]authv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"cart-0"}, "authentication.kubernetes.io/pod-uid": {"uid-0"}}}}
	}
	return true, r, nil
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		w.err = w.program.run(ctx)
	}()
	w.t.Cleanup(w.end)
	w.eventually("ready", func() bool { code, _ := w.get(w.program.at.http, "/health/ready"); return code == 200 })
}

// end stops the program and its clients and looks for leaked goroutines.
func (w *world) end() {
	w.stop()
	<-w.done
	for _, c := range w.conns {
		_ = c.Close()
	}
	require.NoError(w.t, w.err)
	goleak.VerifyNone(w.t, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	require.Eventually(w.t, ok, patience, 2*time.Millisecond, what)
}

func (w *world) get(addr, path string) (int, string) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	resp, err := c.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (w *world) configure(c *unstructured.Unstructured) {
	w.t.Helper()
	_, err := w.dynamic.Resource(configv1alpha2.MeshConfigs).Namespace("osm-system").Update(w.t.Context(), c, metav1.UpdateOptions{})
	require.NoError(w.t, err)
}

func (w *world) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	require.True(w.t, pool.AppendCertsFromPEM(w.program.authority.TrustBundle()))
	return pool
}

func (w *world) connect(token string) (*deltaclient.Client, chan error) {
	w.t.Helper()
	conn, err := deltaclient.Dial(w.program.at.ads, "ads.cluster.local", w.roots())
	require.NoError(w.t, err)
	w.conns = append(w.conns, conn)
	c, ended := deltaclient.NewClient(), make(chan error, 1)
	go func() { ended <- c.Run(w.t.Context(), conn, token) }()
	return c, ended
}

// On loopback the controller tells which proxies it serves and how far they are, whoever asks for this machine by its name.
func TestAdminTellsAboutProxies(t *testing.T) {
	w := newWorld(t)
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, _ := w.connect("good")
	require.NoError(t, client.Wait(ctx, has(envoy.Secret, "service-cert:shop/cart")))
	var page adminapi.Proxies
	w.eventually("synced", func() bool {
		code, body := w.get(w.program.at.admin, adminapi.PathProxies)
		require.Equal(t, 200, code, body)
		page = adminapi.Proxies{}
		require.NoError(t, json.Unmarshal([]byte(body), &page))
		return len(page.Proxies) == 1 && page.Proxies[0].Acked == page.Generation && page.Proxies[0].Types["SDS"].State == "SYNCED"
	})
	p := page.Proxies[0]
	require.Equal(t, []string{"shop", "cart-0", "cart.shop"}, []string{p.Namespace, p.Pod, p.Identity})
	require.Positive(t, p.Types["LDS"].Resources)
	require.Positive(t, p.Types["CDS"].Resources)
	require.NotNil(t, p.Certificate)
	require.NotEmpty(t, p.Certificate.Root)
	require.True(t, p.Certificate.NotAfter.After(time.Now()))

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.program.at.admin+adminapi.PathProxies, nil)
	require.NoError(t, err)
	req.Host = "attacker.example.com"
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func has(t envoy.TypeURL, name string) func(*deltaclient.Model) bool {
	return func(m *deltaclient.Model) bool { _, ok := m.Held[t][name]; return ok }
}

func TestFromObjectsToProxies(t *testing.T) {
	w := newWorld(t)
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, _ := w.connect("good")
	require.NoError(t, client.Wait(ctx, has(envoy.Listener, "outbound-listener")))
	require.NoError(t, client.Wait(ctx, has(envoy.Secret, "service-cert:shop/cart")))

	start := time.Now()
	w.configure(meshConfig(false, false))
	require.NoError(t, client.Wait(ctx, func(m *deltaclient.Model) bool { return !has(envoy.Listener, "outbound-listener")(m) }))
	_, err := figure.Bar{What: "a pod that may call nothing loses its outbound listener", Limit: time.Second}.Judge(time.Since(start))
	require.NoError(t, err)

	_, metrics := w.get(w.program.at.http, "/metrics")
	require.Contains(t, metrics, "osm_proxy_connect_count 1")
	require.Contains(t, metrics, `osm_proxy_xds_request_count{identity="cart.shop",proxy_uuid="uuid-0"`)
	require.Contains(t, metrics, "osm_resource_namespace_count 1")
	require.Contains(t, metrics, `osm_control_plane_stage_seconds_count{stage="push"}`)
	require.Eventually(t, func() bool {
		_, metrics := w.get(w.program.at.http, "/metrics")
		return strings.Contains(metrics, "osm_control_plane_convergence_seconds_count") &&
			!strings.Contains(metrics, "osm_control_plane_convergence_seconds_count 0\n")
	}, patience, 10*time.Millisecond)

	_, refused := w.connect("bad")
	require.Equal(t, codes.Unauthenticated, status.Code(<-refused))
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	w.start()
	code, body := w.get(w.program.at.http, "/health/alive")
	require.Equal(t, 200, code)
	require.Equal(t, "Health OK", body)
	_, body = w.get(w.program.at.http, "/smi/version")
	require.JSONEq(t, `{"HTTPRouteGroup":"specs.smi-spec.io/v1alpha4","TCPRoute":"specs.smi-spec.io/v1alpha4","TrafficSplit":"split.smi-spec.io/v1alpha2","TrafficTarget":"access.smi-spec.io/v1alpha3"}`, body)
	code, _ = w.get(w.program.at.http, "/debug")
	require.Equal(t, 404, code)

	code, body = w.get(w.program.at.debug, "/debug")
	require.Zero(t, code)
	require.Contains(t, body, "connection refused")
	w.configure(meshConfig(true, true))
	w.eventually("the debug server opens", func() bool { code, _ := w.get(w.program.at.debug, "/debug"); return code == 200 })
	for path, want := range map[string]string{
		"/debug": "/debug/certs", "/debug/namespaces": `"shop"`, "/debug/config": `"Permissive": true`, "/debug/xds": `"connections"`,
		"/debug/policies": "{}", "/debug/feature-flags": "{}", "/debug/certs": "BEGIN CERTIFICATE", "/debug/proxy?pod=shop/cart-0&cfg": "outbound-listener",
		"/debug/proxy?uuid=uuid-0": `"cart-0"`, "/debug/pprof/cmdline": "controller",
	} {
		code, body := w.get(w.program.at.debug, path)
		require.Equal(t, 200, code, path)
		require.Contains(t, body, want, path)
		require.NotContains(t, body, "PRIVATE KEY", path)
	}
	code, _ = w.get(w.program.at.debug, "/debug/proxy?uuid=none")
	require.Equal(t, 404, code)
	w.configure(meshConfig(true, false))
	w.eventually("the debug server closes", func() bool {
		_, body := w.get(w.program.at.debug, "/debug")
		return strings.Contains(body, "connection refused")
	})
}

func TestWebhook(t *testing.T) {
	w := newWorld(t)
	w.start()
	webhooks := w.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	w.eventually("announced", func() bool {
		_, err := webhooks.Get(t.Context(), "osm-validator-mesh-osm", metav1.GetOptions{})
		return err == nil
	})
	have, err := webhooks.Get(t.Context(), "osm-validator-mesh-osm", metav1.GetOptions{})
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(have.Webhooks[0].ClientConfig.CABundle))
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "osm-validator.osm-system.svc"}}}
	resp, err := client.Post("https://"+w.program.at.webhook+"/validate", "application/json", strings.NewReader(
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","kind":{"kind":"TrafficTarget"},
		"object":{"metadata":{"namespace":"a","name":"t"},"spec":{"destination":{"namespace":"b"}}}}}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		Response struct {
			Allowed bool
			Status  struct{ Message string }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.False(t, answer.Response.Allowed)
	require.Equal(t, "The traffic target namespace (a) must match spec.Destination.Namespace (b)", answer.Response.Status.Message)
}

func TestVerdictReachesTheObject(t *testing.T) {
	w := newWorld(t)
	w.start()
	client := w.dynamic.Resource(accessv1alpha3.TrafficTargets).Namespace("shop")
	_, err := client.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget", "metadata": map[string]any{"namespace": "shop", "name": "t", "generation": int64(1)},
		"spec": map[string]any{"destination": map[string]any{"kind": "Pod", "name": "x", "namespace": "shop"}, "sources": []any{}, "rules": []any{}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.eventually("a condition", func() bool {
		u, err := client.Get(t.Context(), "t", metav1.GetOptions{})
		require.NoError(t, err)
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		return len(conditions) == 2 && conditions[0].(map[string]any)["reason"] == "InvalidDestination"
	})
	w.eventually("the finding's code is counted", func() bool {
		_, metrics := w.get(w.program.at.http, "/metrics")
		return strings.Contains(metrics, `osm_error_err_code_count{err_code="E2010"} 1`)
	})
}

func TestLeaving(t *testing.T) {
	w := newWorld(t)
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, ended := w.connect("good")
	require.NoError(t, client.Wait(ctx, has(envoy.Listener, "outbound-listener")))
	w.program.lameDuck = 3 * time.Second // long enough to be seen on a busy machine
	w.stop()
	w.eventually("unready", func() bool {
		code, body := w.get(w.program.at.http, "/health/ready")
		return code == 503 && body == "stopping\n"
	})
	require.Empty(t, ended, "a proxy stays connected while others learn that this replica leaves")
	require.Equal(t, codes.Unavailable, status.Code(<-ended))
	<-w.done
}

func TestUnusableRootEndsTheProgram(t *testing.T) {
	w := newWorld(t)
	_, err := w.kube.CoreV1().Secrets("osm-system").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "osm-ca-bundle"}, Data: map[string][]byte{"ca.crt": []byte("x"), "private.key": []byte("y")}}, metav1.CreateOptions{})
	require.NoError(t, err)
	err = w.program.run(t.Context())
	require.ErrorContains(t, err, "osm-system/osm-ca-bundle")
	require.Error(t, certs.Permanent(err))
}

func TestOptions(t *testing.T) {
	for want, args := range map[string][]string{
		"--mesh-name is empty":                {"--osm-namespace=a", "--validator-webhook-config=b"},
		"--osm-namespace is empty":            {"--mesh-name=a", "--validator-webhook-config=b"},
		"--validator-webhook-config is empty": {"--mesh-name=a", "--osm-namespace=b"},
		"--certificate-manager":               {"--mesh-name=a", "--osm-namespace=b", "--validator-webhook-config=c", "--certificate-manager=none"},
	} {
		var o Options
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.Bind(fs)
		require.NoError(t, fs.Parse(args))
		require.ErrorContains(t, o.Check(), want)
	}
}

func TestFindingsOfAMomentAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	metrics := obs.NewMetrics()
	f := findingLog{log: obs.NewLogging(&out, false, nil).Logger("policy"), metrics: metrics, settle: 50 * time.Millisecond}
	moment := snapshot.Finding{Severity: snapshot.Error, Reason: "RouteGroupNotFound", Code: "E2005", Message: "for a moment"}
	lasting := snapshot.Finding{Severity: snapshot.Error, Reason: "NoMatches", Code: "E2006", Message: "for good"}
	flushed := func() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.waiting }
	f.report([]snapshot.Finding{moment})
	f.report([]snapshot.Finding{lasting})
	require.Eventually(t, flushed, patience, time.Millisecond)
	f.report([]snapshot.Finding{lasting})
	require.Eventually(t, flushed, patience, time.Millisecond)
	require.NotContains(t, out.String(), "for a moment")
	require.Equal(t, 1, strings.Count(out.String(), "for good"), "once")
}
