package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/kube"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	rcommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	extfake "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/charts"
	"openservicemesh.io/osm/internal/core/names"
)

// world is a fake cluster with a fake user in front of the command.
type world struct {
	t          *testing.T
	kube       *fake.Clientset
	extensions *extfake.Clientset
	releases   *driver.Memory
	helmKube   *kubefake.FailingKubeClient
	// failingWaits is how many waits of a command end with helmKube.WaitError, 0 for all.
	failingWaits int
	// podGet answers port-forwards; nil is a pod that does not answer.
	podGet   func(target PodPort, localPort uint16, path string) ([]byte, error)
	connect  error
	reach    error
	answers  string
	env      map[string]string
	out, err bytes.Buffer
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	w := &world{
		t:          t,
		kube:       fake.NewClientset(objects...),
		extensions: extfake.NewClientset(),
		releases:   driver.NewMemory(),
		helmKube:   &kubefake.FailingKubeClient{PrintingKubeClient: kubefake.PrintingKubeClient{Out: io.Discard}},
		env:        map[string]string{"OSM_CONFIG": t.TempDir() + "/none.yaml"},
	}
	w.allow(func(*authv1.ResourceAttributes) bool { return true })
	return w
}

// allow makes the API server answer questions about rights.
func (w *world) allow(may func(*authv1.ResourceAttributes) bool) {
	w.kube.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authv1.SelfSubjectAccessReview).DeepCopy()
		review.Status.Allowed = may(review.Spec.ResourceAttributes)
		return true, review, nil
	})
}

func (w *world) helm(namespace string, handler slog.Handler) (*action.Configuration, error) {
	w.releases.SetNamespace(namespace)
	cfg := action.NewConfiguration(action.ConfigurationSetLogger(handler))
	cfg.Releases = storage.Init(w.releases)
	cfg.KubeClient = w.helmKube
	if w.failingWaits > 0 {
		cfg.KubeClient = &recovering{FailingKubeClient: w.helmKube, failing: w.failingWaits}
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = common.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"}
	cfg.Capabilities = caps
	return cfg, nil
}

// run runs one command line and returns the exit code and what was printed.
func (w *world) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	w.out.Reset()
	w.err.Reset()
	opts := Options{
		In: strings.NewReader(w.answers), Out: &w.out, Err: &w.err, Poll: time.Millisecond,
		Getenv: func(key string) string { return w.env[key] },
		Connect: func(Access) (*Cluster, error) {
			if w.connect != nil {
				return nil, w.connect
			}
			return &Cluster{Kube: w.kube, Extensions: w.extensions, Helm: w.helm, PodGet: w.get,
				Version: func(context.Context) (string, error) { return "v1.30.0", w.reach }}, nil
		},
	}
	code = Run(w.t.Context(), opts, args)
	return code, w.out.String(), w.err.String()
}

func (w *world) get(_ context.Context, target PodPort, localPort uint16, path string) ([]byte, error) {
	if w.podGet == nil {
		return nil, errors.New("the pod does not answer")
	}
	return w.podGet(target, localPort, path)
}

// succeeds runs a command line that must exit with 0 and returns standard output.
func (w *world) succeeds(args ...string) string {
	w.t.Helper()
	code, stdout, stderr := w.run(args...)
	require.Zerof(w.t, code, "stdout:\n%s\nstderr:\n%s", stdout, stderr)
	return stdout
}

// fails runs a command line that must exit with 1 and returns standard error.
func (w *world) fails(args ...string) string {
	w.t.Helper()
	code, stdout, stderr := w.run(args...)
	require.Equalf(w.t, 1, code, "stdout:\n%s\nstderr:\n%s", stdout, stderr)
	require.NotContains(w.t, stderr, "Usage:", "usage is not printed on error")
	return stderr
}

// writes lists what was changed in the cluster, as "verb resource".
func (w *world) writes() []string {
	var out []string
	for _, a := range w.kube.Actions() {
		switch a.GetVerb() {
		case "get", "list", "watch":
		default:
			if a.GetResource().Resource != "selfsubjectaccessreviews" {
				out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
			}
		}
	}
	return out
}

// installed puts a release of the embedded chart into Helm's storage.
func (w *world) installed(name, namespace string, status rcommon.Status, config map[string]any) {
	w.t.Helper()
	chrt, err := charts.OSM()
	require.NoError(w.t, err)
	w.releases.SetNamespace(namespace)
	now := time.Now()
	rel := &release.Release{
		Name: name, Namespace: namespace, Version: 1, Chart: chrt, Config: config,
		Info: &release.Info{Status: status, FirstDeployed: now, LastDeployed: now},
	}
	require.NoError(w.t, storage.Init(w.releases).Create(rel))
}

// release returns the newest release of a name.
func (w *world) release(name, namespace string) *release.Release {
	w.t.Helper()
	cfg, err := w.helm(namespace, slog.DiscardHandler)
	require.NoError(w.t, err)
	return lastRelease(cfg, name)
}

func (w *world) failWait(err error) { w.helmKube.WaitError = err }

// recovering is a cluster in which things become ready at last.
type recovering struct {
	*kubefake.FailingKubeClient
	failing int
}

func (r *recovering) GetWaiterWithOptions(ws kube.WaitStrategy, opts ...kube.WaitOption) (kube.Waiter, error) {
	if r.failing--; r.failing < 0 {
		r.WaitError = nil
	}
	return r.FailingKubeClient.GetWaiterWithOptions(ws, opts...)
}

var _ kube.Interface = (*kubefake.FailingKubeClient)(nil)

func controller(meshName, namespace string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: names.Controller, Namespace: namespace, Labels: map[string]string{
		names.LabelApp: names.Controller, names.LabelMeshName: meshName, names.LabelAppVersion: "v1.3.0",
	}}}
}

// exclusive is a controller that enforces that its mesh is the only one.
func exclusive(d *appsv1.Deployment) *appsv1.Deployment {
	d.Labels[names.LabelEnforceSingleMesh] = "true"
	return d
}

func controllerPod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "osm-controller-1", Namespace: namespace, Labels: map[string]string{names.LabelApp: names.Controller}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func namespace(name string, labels, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations}}
}

// member is a namespace of a mesh.
func member(name, meshName string) *corev1.Namespace {
	return namespace(name, map[string]string{names.LabelMonitoredBy: meshName},
		map[string]string{names.AnnotationInjection: "enabled", names.AnnotationMetrics: "enabled"})
}
