package crds

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextfake "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	v1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	definitions "openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/internal/obs/errcode"
)

var quiet = slog.New(slog.DiscardHandler)

const one = "trafficsplits.split.smi-spec.io"

func always(stays bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return stays, nil }
}

// newSet is the set of a mesh's only version, with a reconciler when the version is told.
func newSet(t *testing.T, client *apiextfake.Clientset, version string) *Set {
	t.Helper()
	s, err := NewSet(client, Owner{Mesh: "osm", Version: cmp.Or(version, "v0"), Reconcile: version != "", Stays: always(true)}, quiet)
	require.NoError(t, err)
	return s
}

func writes(client *apiextfake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if v := a.GetVerb(); v != "get" && v != "list" && v != "watch" {
			n++
		}
	}
	return n
}

func get(t *testing.T, client *apiextfake.Clientset, name string) *apiextv1.CustomResourceDefinition {
	t.Helper()
	d, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return d
}

func TestApplyCreatesAllAndWritesNothingTwice(t *testing.T) {
	client := apiextfake.NewClientset()
	require.NoError(t, newSet(t, client, "").Apply(t.Context()))
	all, err := definitions.All()
	require.NoError(t, err)
	list, err := client.ApiextensionsV1().CustomResourceDefinitions().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, len(all))
	for _, d := range list.Items {
		require.Equal(t, "openservicemesh.io", d.Labels["app.kubernetes.io/name"], d.Name)
		require.NotContains(t, d.Labels, "openservicemesh.io/reconcile")
		require.Equal(t, apiextv1.NoneConverter, d.Spec.Conversion.Strategy)
	}
	n := writes(client)
	require.NoError(t, newSet(t, client, "").Apply(t.Context()))
	require.Equal(t, n, writes(client), "equal definitions were written again")
}

func TestApplyOverwritesSpecAndKeepsWhatIsNotOurs(t *testing.T) {
	client := apiextfake.NewClientset()
	require.NoError(t, newSet(t, client, "").Apply(t.Context()))
	d := get(t, client, one)
	want := d.Spec.DeepCopy()
	d.Spec.Names.ShortNames = []string{"old"}
	d.Spec.Conversion = &apiextv1.CustomResourceConversion{Strategy: apiextv1.WebhookConverter}
	d.Labels = map[string]string{"team": "a"}
	_, err := client.ApiextensionsV1().CustomResourceDefinitions().Update(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)

	require.NoError(t, newSet(t, client, "v9").Apply(t.Context()))
	got := get(t, client, one)
	require.Equal(t, *want, got.Spec)
	require.Equal(t, map[string]string{"team": "a", "app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm", "app.kubernetes.io/version": "v9",
		"openservicemesh.io/reconcile": "v9"}, got.Labels)
}

func TestApplyByTwoReplicasAtOnce(t *testing.T) {
	client := apiextfake.NewClientset()
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		set := newSet(t, client, "")
		both.Go(func() { errs[i] = set.Apply(context.Background()) })
	}
	both.Wait()
	require.NoError(t, errors.Join(errs...))
	list, err := client.ApiextensionsV1().CustomResourceDefinitions().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, len(newSet(t, client, "").wanted))
	for _, a := range client.Actions() {
		require.NotEqual(t, "update", a.GetVerb(), "the slower replica must find an equal definition, not write it again")
	}
}

func TestApplyRetriesConflictsAndNamesTheDefinition(t *testing.T) {
	client := apiextfake.NewClientset()
	require.NoError(t, newSet(t, client, "").Apply(t.Context()))
	conflicts := 2
	client.PrependReactor("update", "customresourcedefinitions", func(a k8stesting.Action) (bool, runtime.Object, error) {
		d := a.(k8stesting.UpdateAction).GetObject().(*apiextv1.CustomResourceDefinition)
		if d.Name == one && conflicts > 0 {
			conflicts--
			return true, nil, apierrors.NewConflict(apiextv1.Resource("customresourcedefinitions"), d.Name, errors.New("changed"))
		}
		return false, nil, nil
	})
	require.NoError(t, newSet(t, client, "v2").Apply(t.Context()))
	require.Equal(t, "v2", get(t, client, one).Labels["openservicemesh.io/reconcile"])

	client.PrependReactor("update", "customresourcedefinitions", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	require.ErrorContains(t, newSet(t, client, "v3").Apply(t.Context()), "CustomResourceDefinition ")
	require.ErrorContains(t, newSet(t, client, "v3").Apply(t.Context()), "forbidden")
}

func setCondition(t *testing.T, client *apiextfake.Clientset, name string, c ...apiextv1.CustomResourceDefinitionCondition) {
	t.Helper()
	d := get(t, client, name)
	d.Status.Conditions = c
	_, err := client.ApiextensionsV1().CustomResourceDefinitions().UpdateStatus(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func TestWaitEstablished(t *testing.T) {
	client := apiextfake.NewClientset()
	set := newSet(t, client, "")
	require.NoError(t, set.Apply(t.Context()))
	yes := apiextv1.CustomResourceDefinitionCondition{Type: apiextv1.Established, Status: apiextv1.ConditionTrue}
	for _, d := range set.wanted {
		if d.Name != one {
			setCondition(t, client, d.Name, yes)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	require.EqualError(t, set.WaitEstablished(short), "custom resource definitions not established in time: "+one)

	done := make(chan error, 1)
	go func() { done <- set.WaitEstablished(context.Background()) }()
	setCondition(t, client, one, yes)
	require.NoError(t, <-done)

	setCondition(t, client, one, apiextv1.CustomResourceDefinitionCondition{
		Type: apiextv1.NamesAccepted, Status: apiextv1.ConditionFalse, Message: `"ts" is already in use`})
	err := set.WaitEstablished(context.Background())
	require.ErrorContains(t, err, "CustomResourceDefinition "+one+` is not accepted: "ts" is already in use`)
}

func TestReconcile(t *testing.T) {
	client := apiextfake.NewClientset()
	set := newSet(t, client, "v1")
	set.owner.Stays = always(false)
	require.NoError(t, set.Apply(t.Context()))
	restored := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	watching := make(chan struct{}, 1)
	client.PrependWatchReactor("*", func(k8stesting.Action) (bool, watch.Interface, error) {
		watching <- struct{}{}
		return false, nil, nil
	})
	go func() { defer close(done); set.Reconcile(ctx, func() { restored <- struct{}{} }) }()
	t.Cleanup(func() { cancel(); <-done })
	<-watching
	time.Sleep(50 * time.Millisecond) // the fake's watch is registered just after its reactors ran
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	await := func() {
		select {
		case <-restored:
		case <-time.After(10 * time.Second):
			require.FailNow(t, "not restored within 10 s")
		}
	}
	original := get(t, client, one)

	edited := original.DeepCopy()
	edited.Spec.Names.ShortNames = nil
	_, err := crds.Update(t.Context(), edited, metav1.UpdateOptions{})
	require.NoError(t, err)
	await()
	require.Equal(t, original.Spec, get(t, client, one).Spec)

	require.NoError(t, crds.Delete(t.Context(), one, metav1.DeleteOptions{}))
	await()
	require.Equal(t, original.Spec, get(t, client, one).Spec)

	// A newer version took the definition over: undoing that would fight the upgrade.
	newer := get(t, client, one)
	newer.Labels["app.kubernetes.io/version"] = "v2"
	newer.Spec.Names.ShortNames = []string{"newer"}
	_, err = crds.Update(t.Context(), newer, metav1.UpdateOptions{})
	require.NoError(t, err)
	other := get(t, client, "meshconfigs.config.openservicemesh.io")
	other.Spec.Names.ShortNames = nil
	_, err = crds.Update(t.Context(), other, metav1.UpdateOptions{})
	require.NoError(t, err)
	await() // the second edit was handled, so the first was seen
	require.Equal(t, []string{"newer"}, get(t, client, one).Spec.Names.ShortNames)
}

func configObject(kind, ns, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": kind,
		"metadata": map[string]any{"namespace": ns, "name": name}}}
}

func meta(ns, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}
}

var listKinds = map[schema.GroupVersionResource]string{v1alpha2.MeshConfigs: "MeshConfigList", v1alpha2.MeshRootCertificates: "MeshRootCertificateList"}

func TestCleanup(t *testing.T) {
	ours := func(app, mesh string) map[string]string {
		return map[string]string{"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": mesh, "app.kubernetes.io/version": "v1.2.4", "app": app}
	}
	core := fake.NewClientset(
		&corev1.Secret{ObjectMeta: meta("osm-system", "osm-ca-bundle", nil)},
		&corev1.Secret{ObjectMeta: meta("osm-system", "osm-ca-bundle-2", ours("", "osm"))},
		&corev1.Secret{ObjectMeta: meta("osm-system", "users-own", nil)},
		&corev1.Secret{ObjectMeta: meta("other", "osm-ca-bundle", nil)},
		&coordinationv1.Lease{ObjectMeta: meta("osm-system", "osm-controller-osm", nil)},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("", "renamed-by-user-osm", ours("osm-injector", "osm"))},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("", "osm-webhook-two", ours("osm-injector", "two"))},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta("", "istio", map[string]string{"app": "osm-injector"})},
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta("", "osm-validator-mesh-osm", ours("osm-controller", "osm"))},
	)
	root := func(ns, name, secret string) *unstructured.Unstructured {
		u := configObject("MeshRootCertificate", ns, name)
		require.NoError(t, unstructured.SetNestedField(u.Object, secret, "spec", "provider", "tresor", "ca", "secretRef", "name"))
		return u
	}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds,
		configObject("MeshConfig", "osm-system", "osm-mesh-config"), configObject("MeshConfig", "other", "osm-mesh-config"),
		root("osm-system", "osm-mesh-root-certificate", "osm-ca-bundle"), root("osm-system", "next", "osm-ca-bundle-2"),
		root("osm-system", "brought", "users-own"), root("other", "next", "osm-ca-bundle"))
	crdClient := apiextfake.NewClientset()
	require.NoError(t, newSet(t, crdClient, "").Apply(t.Context()))
	edited := get(t, crdClient, one)
	want := edited.Spec.DeepCopy()
	edited.Spec.Names.ShortNames = nil
	_, err := crdClient.ApiextensionsV1().CustomResourceDefinitions().Update(t.Context(), edited, metav1.UpdateOptions{})
	require.NoError(t, err)
	gone := "egresses.policy.openservicemesh.io"
	require.NoError(t, crdClient.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), gone, metav1.DeleteOptions{}))

	clients := Clients{Core: core, CRDs: crdClient, Dynamic: dyn}
	in := Installation{MeshName: "osm", Namespace: "osm-system", ConfigName: "osm-mesh-config", CABundleSecret: "osm-ca-bundle"}
	require.NoError(t, Cleanup(t.Context(), clients, in, quiet))

	secrets, err := core.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, secrets.Items, 2)
	mutating, err := core.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"istio", "osm-webhook-two"}, []string{mutating.Items[0].Name, mutating.Items[1].Name})
	validating, err := core.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, validating.Items)
	leases, err := core.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, leases.Items)
	configs, err := dyn.Resource(v1alpha2.MeshConfigs).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, configs.Items, 1)
	require.Equal(t, "other", configs.Items[0].GetNamespace())
	roots, err := dyn.Resource(v1alpha2.MeshRootCertificates).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, roots.Items, 1)
	require.Equal(t, "other", roots.Items[0].GetNamespace())
	require.Equal(t, *want, get(t, crdClient, one).Spec)
	_, err = crdClient.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), gone, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "an uninstallation must not bring a definition back")

	require.NoError(t, Cleanup(t.Context(), clients, in, quiet), "a second run finds nothing to do")
}

func TestCleanupGoesOnAfterAFailure(t *testing.T) {
	core := fake.NewClientset(&corev1.Secret{ObjectMeta: meta("osm-system", "osm-ca-bundle", nil)})
	core.PrependReactor("list", "mutatingwebhookconfigurations", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	clients := Clients{Core: core, CRDs: apiextfake.NewClientset(), Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds)}
	err := Cleanup(t.Context(), clients, Installation{"osm", "osm-system", "osm-mesh-config", "osm-ca-bundle"}, quiet)
	require.EqualError(t, err, "webhook configurations: forbidden")
	_, err = core.CoreV1().Secrets("osm-system").Get(t.Context(), "osm-ca-bundle", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
}

func TestParse(t *testing.T) {
	in, verbosity, err := parse([]string{"--verbosity=debug", "--mesh-name=osm", "--osm-namespace=ns", "--osm-config-name=osm-mesh-config", "--ca-bundle-secret-name=ca"})
	require.NoError(t, err)
	require.Equal(t, "debug", verbosity)
	require.Equal(t, Installation{"osm", "ns", "osm-mesh-config", "ca"}, in)
	for _, args := range [][]string{nil, {"--mesh-name=osm"}, {"--osm-namespace=ns"}, {"--mesh-name=osm", "--osm-namespace=ns", "cleanup"},
		{"--mesh-name=osm", "--osm-namespace=ns", "--ca-bundle-secret-name="}, {"--what"}} {
		_, _, err := parse(args)
		require.Equal(t, errcode.InvalidCLIArgument, errcode.Of(err), "%q", args)
	}
	_, _, err = parse([]string{"-h"})
	require.ErrorIs(t, err, pflag.ErrHelp)
}
