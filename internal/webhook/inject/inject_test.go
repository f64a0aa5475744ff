package inject

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
)

// fakeState knows namespaces as last seen and as they are.
type fakeState struct {
	seen, fresh map[string]podpatch.Namespace
	reads       int
}

func (f *fakeState) Namespace(name string) (podpatch.Namespace, bool) {
	ns, ok := f.seen[name]
	return ns, ok
}

func (f *fakeState) FreshNamespace(_ context.Context, name string) (podpatch.Namespace, error) {
	f.reads++
	ns, ok := f.fresh[name]
	if !ok {
		return ns, errors.New("connection refused")
	}
	return ns, nil
}

func (f *fakeState) Settings() podpatch.Settings { return settings(testDefaults(), nil, "root") }

func testDefaults() Defaults {
	return Defaults{
		Mesh:       podpatch.Mesh{Name: "osm", Namespace: "osm-system"},
		Images:     podpatch.Images{Envoy: "envoy:1", Init: "init:1", Healthcheck: "hc:1"},
		PullPolicy: corev1.PullIfNotPresent, NativeSidecar: true, ADSName: "ads.cluster.local", Verbosity: "info",
	}
}

func member(name, injection string) podpatch.Namespace {
	ns := podpatch.Namespace{Name: name, Labels: map[string]string{names.LabelMonitoredBy: "osm"}}
	if injection != "" {
		ns.Annotations = map[string]string{names.AnnotationInjection: injection}
	}
	return ns
}

func request(t *testing.T, namespace string, annotations map[string]string) *admissionv1.AdmissionRequest {
	t.Helper()
	raw, err := json.Marshal(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
	})
	require.NoError(t, err)
	return &admissionv1.AdmissionRequest{
		UID: "u", Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
	}
}

func TestReview(t *testing.T) {
	yes, no, none := member("ns", "enabled"), member("ns", "disabled"), member("ns", "")
	stranger := podpatch.Namespace{Name: "ns"}
	bad := member("ns", "perhaps")
	type m = map[string]podpatch.Namespace
	for name, tc := range map[string]struct {
		seen, fresh m
		annotations map[string]string
		injected    bool
		denied      string
		reads       int
	}{
		"known to be injected":                  {seen: m{"ns": yes}, injected: true},
		"not seen yet":                          {fresh: m{"ns": yes}, injected: true, reads: 1},
		"joined a moment ago":                   {seen: m{"ns": stranger}, fresh: m{"ns": yes}, injected: true, reads: 1},
		"annotated a moment ago":                {seen: m{"ns": none}, fresh: m{"ns": yes}, injected: true, reads: 1},
		"really not":                            {seen: m{"ns": no}, fresh: m{"ns": no}, reads: 1},
		"annotation repaired a moment ago":      {seen: m{"ns": bad}, fresh: m{"ns": yes}, injected: true, reads: 1},
		"the pod says no":                       {seen: m{"ns": yes}, annotations: map[string]string{names.AnnotationInjection: "no"}},
		"the pod says yes":                      {seen: m{"ns": no}, annotations: map[string]string{names.AnnotationInjection: "yes"}, injected: true},
		"the namespace cannot be read":          {denied: "connection refused", reads: 1},
		"bad annotation":                        {seen: m{"ns": bad}, fresh: m{"ns": bad}, denied: `Invalid annotation value for key "openservicemesh.io/sidecar-injection": perhaps`, reads: 1},
		"bad list":                              {seen: m{"ns": yes}, annotations: map[string]string{names.AnnotationOutPorts: "x"}, denied: `Invalid annotation value for key "openservicemesh.io/outbound-port-exclusion-list"`},
		"the container's name is the sidecar's": {seen: m{"ns": yes}, annotations: map[string]string{"rename": "envoy"}, denied: "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			state := &fakeState{seen: tc.seen, fresh: tc.fresh}
			i := &Injector{State: state, Log: slog.New(slog.DiscardHandler)}
			req := request(t, "ns", tc.annotations)
			if n := tc.annotations["rename"]; n != "" {
				req.Object.Raw = []byte(strings.Replace(string(req.Object.Raw), `"name":"web"`, `"name":"`+n+`"`, 1))
			}
			got := i.Review(t.Context(), req)
			require.Equal(t, tc.reads, state.reads)
			if tc.denied != "" {
				require.False(t, got.Allowed)
				require.Contains(t, got.Result.Message, tc.denied)
				return
			}
			require.True(t, got.Allowed, got.Result)
			require.Equal(t, tc.injected, len(got.Patch) > 0)
			if tc.injected {
				require.Equal(t, admissionv1.PatchTypeJSONPatch, *got.PatchType)
				requireInjected(t, req.Object.Raw, got.Patch)
			}
		})
	}
}

func requireInjected(t *testing.T, raw, ops []byte) {
	t.Helper()
	p, err := jsonpatch.DecodePatch(ops)
	require.NoError(t, err)
	patched, err := p.Apply(raw)
	require.NoError(t, err)
	var pod corev1.Pod
	require.NoError(t, json.Unmarshal(patched, &pod))
	require.Equal(t, []string{"osm-init", "envoy"}, []string{pod.Spec.InitContainers[0].Name, pod.Spec.InitContainers[1].Name})
	require.Contains(t, pod.Annotations[names.AnnotationEnvoyBootstrap], "default.ns")
}

func TestReviewOfWhatIsNotAPodsCreation(t *testing.T) {
	i := &Injector{State: &fakeState{seen: map[string]podpatch.Namespace{"ns": member("ns", "enabled")}}, Log: slog.New(slog.DiscardHandler)}
	for name, spoil := range map[string]func(*admissionv1.AdmissionRequest){
		"update":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "ephemeralcontainers" },
		"other":       func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "services" },
	} {
		req := request(t, "ns", nil)
		spoil(req)
		got := i.Review(t.Context(), req)
		require.True(t, got.Allowed, name)
		require.Empty(t, got.Patch, name)
	}
	req := request(t, "ns", nil)
	req.Object.Raw = []byte(`{"spec":{"containers":"none"}}`)
	require.False(t, i.Review(t.Context(), req).Allowed)
	req.Object.Raw = nil
	require.False(t, i.Review(t.Context(), req).Allowed)
}

func TestTwoReviewsTwoIdentities(t *testing.T) {
	i := &Injector{State: &fakeState{seen: map[string]podpatch.Namespace{"ns": member("ns", "enabled")}}, Log: slog.New(slog.DiscardHandler)}
	a, b := i.Review(t.Context(), request(t, "ns", nil)), i.Review(t.Context(), request(t, "ns", nil))
	require.NotEqual(t, string(a.Patch), string(b.Patch))
}

func TestWarningsAreShortened(t *testing.T) {
	got := shorten([]string{"short", strings.Repeat("x", 300)})
	require.Equal(t, "short", got[0])
	require.Len(t, got[1], maxWarning)
}

// FuzzReview: whatever a pod looks like, the answer is an answer, and a patch fits the pod it is for.
func FuzzReview(f *testing.F) {
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","livenessProbe":{"httpGet":{"port":80,"path":"/%zz"}}}]}}`))
	f.Add([]byte(`{"spec":{"initContainers":[],"containers":[{"name":"envoy","volumeMounts":[{"name":"envoy-bootstrap-config-volume"}]}]}}`))
	f.Add([]byte(`{"metadata":{"labels":null},"spec":{"volumes":null}}`))
	i := &Injector{State: &fakeState{seen: map[string]podpatch.Namespace{"ns": member("ns", "enabled")}}, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := i.Review(t.Context(), &admissionv1.AdmissionRequest{
			Namespace: "ns", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw}, Resource: metav1.GroupVersionResource{Resource: "pods"},
		})
		if len(got.Patch) == 0 {
			return
		}
		if _, err := jsonpatch.DecodePatch(got.Patch); err != nil {
			t.Fatal(err)
		}
	})
}
