package injector

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
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

func options(t *testing.T, args ...string) Options {
	t.Helper()
	var o Options
	fs := pflag.NewFlagSet("osm-injector", pflag.ContinueOnError)
	o.Bind(fs)
	require.NoError(t, fs.Parse(append([]string{"--mesh-name=osm", "--osm-namespace=osm-system", "--webhook-config-name=osm-webhook-osm"}, args...)))
	o.Images = podpatch.Images{Envoy: "envoy:1", Init: "init:1", Healthcheck: "hc:1"}
	return o
}

func TestCheckNamesTheFlag(t *testing.T) {
	o := options(t)
	require.NoError(t, o.Check())
	for arg, want := range map[string]string{
		"--mesh-name=":                         "--mesh-name",
		"--osm-namespace=":                     "--osm-namespace",
		"--webhook-config-name=":               "--webhook-config-name",
		"--webhook-timeout=0":                  "--webhook-timeout 0",
		"--webhook-timeout=31":                 "--webhook-timeout 31",
		"--osm-container-pull-policy=Sometime": `--osm-container-pull-policy "Sometime"`,
		"--sidecar-mode=both":                  `--sidecar-mode "both"`,
		"--certificate-manager=none":           "--certificate-manager",
		"--trust-domain=":                      "--trust-domain",
	} {
		o := options(t, arg)
		require.ErrorContains(t, o.Check(), want)
	}
	o.FromEnv(func(string) string { return "" })
	require.ErrorContains(t, o.Check(), "OSM_DEFAULT_ENVOY_IMAGE")
}

func TestNativeSidecars(t *testing.T) {
	for _, tc := range []struct {
		mode, version string
		want          bool
		err           string
	}{
		{ModeAuto, "v1.28.9", false, ""},
		{ModeAuto, "v1.29.0", true, ""},
		{ModeAuto, "v1.29.0-gke.100", true, ""},
		{ModeAuto, "v1.37.2+k3s1", true, ""},
		{ModeAuto, "unknown", false, "--sidecar-mode"},
		{ModeNative, "v1.20.0", true, ""},
		{ModeClassic, "v1.37.2", false, ""},
	} {
		kube := fake.NewClientset()
		kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: tc.version}
		got, err := nativeSidecars(tc.mode, kube.Discovery())
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, tc.want, got, tc)
	}
}

// Two replicas on one cluster: both inject with certificates the API server trusts, and they write one configuration once.
func TestTwoReplicas(t *testing.T) {
	kube := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "bookstore", Labels: map[string]string{names.LabelMonitoredBy: "osm"}, Annotations: map[string]string{names.AnnotationInjection: "enabled"},
	}})
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.37.2"}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		configv1alpha2.MeshConfigs: "MeshConfigList", configv1alpha2.MeshRootCertificates: "MeshRootCertificateList"})
	ctx, cancel := context.WithCancel(t.Context())
	var replicas []*program
	ended := make(chan error, 2)
	for range 2 {
		metrics := obs.NewMetrics()
		logging := obs.NewLogging(io.Discard, false, metrics.ErrorCode)
		p := &program{o: options(t), kube: kube, dyn: dyn, logging: logging, log: logging.Logger("test"), metrics: metrics, webhookAddr: freeport.Address(t), healthAddr: freeport.Address(t)}
		go func() { ended <- p.run(ctx) }()
		replicas = append(replicas, p)
	}
	for _, p := range replicas {
		require.Eventually(t, func() bool { return get(p.healthAddr, "/healthz") == 200 }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, 200, get(p.healthAddr, "/version"))
		require.Equal(t, 200, get(p.healthAddr, "/metrics"))
	}
	writes := 0
	for _, a := range kube.Actions() {
		if a.GetResource().Resource == "mutatingwebhookconfigurations" && a.GetVerb() != "get" {
			writes++
		}
	}
	require.LessOrEqual(t, writes, 2, "one creates; the other may try at the same moment and is refused")
	conf, err := kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "osm-webhook-osm", metav1.GetOptions{})
	require.NoError(t, err)
	before := len(kube.Actions())
	for _, p := range replicas {
		resp := review(t, p.webhookAddr, conf.Webhooks[0].ClientConfig.CABundle)
		require.True(t, resp.Allowed)
		require.Contains(t, string(resp.Patch), "osm-proxy-uuid")
		require.Contains(t, string(resp.Patch), `"restartPolicy":"Always"`)
		require.Contains(t, string(resp.Patch), "BEGIN CERTIFICATE")
	}
	require.Equal(t, before, len(kube.Actions()), "admission asks and writes nothing")

	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}

func review(t *testing.T, addr string, ca []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "osm-injector.osm-system.svc"}}}
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u", Namespace: "bookstore", Operation: admissionv1.Create, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object: runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`)},
		},
	})
	require.NoError(t, err)
	resp, err := c.Post("https://"+addr+names.InjectorWebhookPath+"?timeout=20s", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	var got admissionv1.AdmissionReview
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&got))
	other, err := c.Post("https://"+addr+"/other", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.Equal(t, 404, other.StatusCode)
	_ = other.Body.Close()
	return got.Response
}

func get(addr, path string) int {
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
