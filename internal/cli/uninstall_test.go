package cli

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	rcommon "helm.sh/helm/v4/pkg/release/common"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extfake "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/core/names"
)

const prompt = "\nUninstall OSM [mesh name: osm] in namespace [osm-system] and/or OSM resources? [y/n]: "

// oneMesh is a cluster with mesh osm and two namespaces of it. The controller's Deployment goes when the release does, as
// it does in a real cluster.
func oneMesh(t *testing.T, more ...runtime.Object) *world {
	w := newWorld(t, append([]runtime.Object{
		controller("osm", "osm-system"), namespace("osm-system", nil, nil), member("bookstore", "osm"), member("other", "other"),
	}, more...)...)
	w.installed("osm", "osm-system", rcommon.StatusDeployed, nil)
	w.kube.PrependReactor("list", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		if rel := w.release("osm", "osm-system"); rel == nil {
			_ = w.kube.Tracker().Delete(controllerGVR, "osm-system", names.Controller)
		}
		return false, nil, nil
	})
	return w
}

var controllerGVR = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

func TestUninstallNothing(t *testing.T) {
	require.Equal(t, "No OSM control planes found\n", newWorld(t).succeeds("uninstall", "mesh"))
}

func TestUninstallAsks(t *testing.T) {
	cases := map[string]struct {
		answers string
		want    string
		gone    bool
	}{
		"yes":             {"y\n", prompt + "OSM [mesh name: osm] in namespace [osm-system] uninstalled\n", true},
		"no":              {"n\n", prompt, false},
		"nonsense, yes":   {"maybe\nY\n", prompt + "Invalid input.\n" + prompt + "OSM [mesh name: osm] in namespace [osm-system] uninstalled\n", true},
		"nonsense always": {"a\nb\nc\ny\n", prompt + "Invalid input.\n" + prompt + "Invalid input.\n" + prompt + "Invalid input.\n", false},
		"empty lines":     {"\n\n\ny\n", prompt + prompt + prompt, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := oneMesh(t)
			w.answers = c.answers
			stdout := w.succeeds("uninstall", "mesh")
			require.Regexp(t, "^List of meshes present in the cluster:\n\nMESH NAME ", stdout)
			require.Contains(t, stdout, "-l app=osm-controller\n"+c.want)
			require.Equal(t, c.gone, w.release("osm", "osm-system") == nil)
			ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "bookstore", metav1.GetOptions{})
			require.NoError(t, err)
			require.Equal(t, c.gone, len(ns.Labels) == 0, "the namespace left the mesh with it")
			require.Equal(t, c.gone, len(ns.Annotations) == 0)
			ns, err = w.kube.CoreV1().Namespaces().Get(t.Context(), "other", metav1.GetOptions{})
			require.NoError(t, err)
			require.Equal(t, "other", ns.Labels[names.LabelMonitoredBy], "other meshes keep theirs")
		})
	}
	require.Contains(t, oneMesh(t).fails("uninstall", "mesh"), "Error: read the answer: EOF")
}

func TestUninstallForce(t *testing.T) {
	w := oneMesh(t)
	require.Equal(t, "OSM [mesh name: osm] in namespace [osm-system] uninstalled\n",
		w.succeeds("uninstall", "mesh", "-f", "--osm-namespace", "elsewhere"), "the only mesh is meant, wherever it is")
	require.Contains(t, w.err.String(), "Namespace [bookstore] successfully removed from mesh [osm]\n")

	w = newWorld(t, controller("osm", "osm-system"), controller("two", "two-system"))
	require.Contains(t, w.fails("delete", "mesh", "--force"), "Error: --force needs to know which mesh to uninstall: give --mesh-name and "+
		"--osm-namespace of one of [osm] in namespace [osm-system], [two] in namespace [two-system]\n")
}

func TestUninstallUnknownMesh(t *testing.T) {
	w := oneMesh(t)
	stdout := w.succeeds("uninstall", "mesh", "--mesh-name", "nope", "-f", "-a")
	require.Regexp(t, `^Did not find mesh \[nope\] in namespace \[osm-system\]\nList of meshes present in the cluster:\n\nMESH NAME `, stdout)
	require.NotContains(t, stdout, "CRD")
	require.NotNil(t, w.release("osm", "osm-system"))
}

func TestUninstallForeignRelease(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"), member("bookstore", "osm"))
	require.Contains(t, w.fails("uninstall", "mesh", "-f"), "release: not found")
	require.Equal(t, "No OSM control plane with mesh name [osm] found in namespace [osm-system]\n", w.out.String())
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "bookstore", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "osm", ns.Labels[names.LabelMonitoredBy], "the mesh still runs, so its namespaces stay")
}

func TestUninstallDeletesNamespace(t *testing.T) {
	w := oneMesh(t)
	require.Equal(t, "OSM [mesh name: osm] in namespace [osm-system] uninstalled\nOSM namespace [osm-system] deleted successfully\n",
		w.succeeds("uninstall", "mesh", "-f", "--delete-namespace"))
	_, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "osm-system", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))

	w = newWorld(t, controller("osm", "osm-system"))
	require.Contains(t, w.succeeds("uninstall", "mesh", "-f", "--delete-namespace"),
		"Could not uninstall mesh name [osm] in namespace [osm-system]- uninstall: Release not loaded: osm: release: not found - "+
			"continuing to deleteClusterWideResources and/or deleteNamespace\nOSM namespace [osm-system] not found\n")
}

func crd(name string, labels map[string]string) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func TestUninstallClusterWide(t *testing.T) {
	own := map[string]string{names.LabelAppName: names.AppName, names.LabelAppInstance: "osm"}
	labels := func(app string) map[string]string {
		return map[string]string{names.LabelAppName: own[names.LabelAppName], names.LabelAppInstance: "osm", names.LabelApp: app}
	}
	w := oneMesh(t,
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "osm-webhook-osm", Labels: labels(names.Injector)}},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "somebody-else"}},
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "osm-validator-mesh-osm", Labels: labels(names.Controller)}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "osm-ca-bundle", Namespace: "osm-system"}},
	)
	w.extensions = extfake.NewClientset(crd("egresses.policy.openservicemesh.io", nil), crd("meshrootcertificates.config.openservicemesh.io", nil),
		crd("serviceimports.multicluster.x-k8s.io", nil), crd("serviceexports.multicluster.x-k8s.io", own))
	require.Equal(t, `OSM [mesh name: osm] in namespace [osm-system] uninstalled
Successfully deleted OSM CRD: egresses.policy.openservicemesh.io
Ignoring - did not find OSM CRD: ingressbackends.policy.openservicemesh.io
Ignoring - did not find OSM CRD: meshconfigs.config.openservicemesh.io
Successfully deleted OSM CRD: meshrootcertificates.config.openservicemesh.io
Ignoring - did not find OSM CRD: upstreamtrafficsettings.policy.openservicemesh.io
Ignoring - did not find OSM CRD: retries.policy.openservicemesh.io
Ignoring - did not find OSM CRD: httproutegroups.specs.smi-spec.io
Ignoring - did not find OSM CRD: tcproutes.specs.smi-spec.io
Ignoring - did not find OSM CRD: trafficsplits.split.smi-spec.io
Ignoring - did not find OSM CRD: traffictargets.access.smi-spec.io
Ignoring - did not find OSM CRD: telemetries.policy.openservicemesh.io
Ignoring - did not find OSM CRD: extensionservices.config.openservicemesh.io
Successfully deleted OSM CRD: serviceexports.multicluster.x-k8s.io
Successfully deleted OSM MutatingWebhookConfiguration: osm-webhook-osm
Successfully deleted OSM ValidatingWebhookConfiguration: osm-validator-mesh-osm
Successfully deleted OSM secret osm-ca-bundle in namespace osm-system
`, w.succeeds("uninstall", "mesh", "-f", "-a"))

	// A second run finds no mesh and goes on all the same: what is left in the cluster is what -a is for.
	stdout := w.succeeds("uninstall", "mesh", "-f", "-a")
	require.Contains(t, stdout, "No OSM control planes found\nIgnoring - did not find OSM CRD: egresses")
	require.Contains(t, stdout, "Ignoring - did not find any OSM MutatingWebhookConfigurations in the cluster. Use --mesh-name to delete "+
		"MutatingWebhookConfigurations belonging to a specific mesh if desired\n")
	require.Contains(t, stdout, "Ignoring - did not find any OSM ValidatingWebhookConfigurations in the cluster. Use --mesh-name to delete "+
		"ValidatingWebhookConfigurations belonging to a specific mesh if desired\n")
	require.Contains(t, stdout, "Ignoring - did not find OSM CA bundle secret osm-ca-bundle in namespace osm-system. Use --ca-bundle-secret-name "+
		"and --osm-namespace to delete a specific mesh namespace's CA bundle secret if desired\n")
}

func TestUninstallClusterWideFailures(t *testing.T) {
	w := oneMesh(t)
	refuse := func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") }
	w.extensions.PrependReactor("delete", "customresourcedefinitions", refuse)
	w.kube.PrependReactor("list", "mutatingwebhookconfigurations", refuse)
	w.kube.PrependReactor("delete", "secrets", refuse)
	require.Contains(t, w.fails("uninstall", "mesh", "-f", "-a"),
		"Error: Failed to completely delete the following OSM resource types: [CustomResourceDefinitions MutatingWebhookConfigurations Secrets]\n")
	require.Contains(t, w.out.String(), "Failed to delete OSM CRD egresses.policy.openservicemesh.io: forbidden\n")
}

func TestUninstallClusterWideNamesOtherMeshes(t *testing.T) {
	w := oneMesh(t, controller("two", "two-system"))
	w.answers = "y\nn\n"
	require.Contains(t, w.succeeds("uninstall", "mesh", "-a"),
		"Deleting cluster resources will affect current mesh(es) in cluster:\n[two] mesh in namespace [two-system]\n")
}

func TestUninstallManaged(t *testing.T) {
	w := oneMesh(t)
	w.config("install: {kind: managed}")
	require.Equal(t, "OSM CANNOT be uninstalled in a managed environment\n", w.succeeds("uninstall", "mesh", "-f"))
	require.Equal(t, "OSM CANNOT be uninstalled in a managed environment\nOSM namespace CANNOT be deleted in a managed environment\n",
		w.succeeds("uninstall", "mesh", "-f", "--delete-namespace"))
	require.Empty(t, w.writes())
	require.NotNil(t, w.release("osm", "osm-system"))
}
