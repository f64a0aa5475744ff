package inject

import (
	"context"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/webhook/announce"
)

// Configuration is what the API server is told about this webhook.
type Configuration struct {
	// Name of the MutatingWebhookConfiguration, "osm-webhook-osm".
	Name string
	Mesh podpatch.Mesh
	// Version of the mesh, for a label.
	Version string
	// TimeoutSeconds the API server waits, 1 to 30.
	TimeoutSeconds int32
	// Reconcile marks the object for the reconciler.
	Reconcile bool
}

// Build returns the whole object, every field set that the API server would default, so that comparing it is exact.
func (c Configuration) Build(caBundle []byte) *admissionregv1.MutatingWebhookConfiguration {
	path, port := names.InjectorWebhookPath, int32(names.PortInjectorWebhook)
	fail, exact, sideEffects, never := admissionregv1.Fail, admissionregv1.Exact, admissionregv1.SideEffectClassNoneOnDryRun, admissionregv1.NeverReinvocationPolicy
	all := admissionregv1.AllScopes
	timeout := c.TimeoutSeconds
	labels := map[string]string{
		names.LabelAppName: names.AppName, names.LabelAppInstance: c.Mesh.Name, names.LabelAppVersion: names.VersionLabel(c.Version), names.LabelApp: names.Injector,
	}
	if c.Reconcile {
		labels[names.LabelReconcile] = "true"
	}
	return &admissionregv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: labels},
		Webhooks: []admissionregv1.MutatingWebhook{{
			Name: names.InjectorWebhook,
			ClientConfig: admissionregv1.WebhookClientConfig{
				CABundle: caBundle,
				Service:  &admissionregv1.ServiceReference{Namespace: c.Mesh.Namespace, Name: names.Injector, Path: &path, Port: &port},
			},
			Rules: []admissionregv1.RuleWithOperations{{
				Operations: []admissionregv1.OperationType{admissionregv1.Create},
				Rule:       admissionregv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: &all},
			}},
			FailurePolicy: &fail, MatchPolicy: &exact, SideEffects: &sideEffects, ReinvocationPolicy: &never, TimeoutSeconds: &timeout,
			NamespaceSelector:       namespaceSelector(c.Mesh),
			ObjectSelector:          &metav1.LabelSelector{},
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// namespaceSelector keeps the webhook, whose failure stops pods from being made, to namespaces of the mesh, and out of
// those the cluster or the control plane itself lives in.
func namespaceSelector(m podpatch.Mesh) *metav1.LabelSelector {
	return &metav1.LabelSelector{
		MatchLabels: map[string]string{names.LabelMonitoredBy: m.Name},
		MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: names.LabelIgnore, Operator: metav1.LabelSelectorOpDoesNotExist},
			{Key: names.LabelNamespaceName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{m.Namespace}},
			{Key: names.LabelControlPlane, Operator: metav1.LabelSelectorOpDoesNotExist},
		},
	}
}

// Keeper keeps the object in a cluster. stays tells whether this version is the one that is to run.
func (c Configuration) Keeper(client announce.Client[*admissionregv1.MutatingWebhookConfiguration], stays func(context.Context) (bool, error)) announce.Keeper[*admissionregv1.MutatingWebhookConfiguration] {
	return announce.Keeper[*admissionregv1.MutatingWebhookConfiguration]{
		Client: client, Build: c.Build, Stays: stays, Reconcile: c.Reconcile,
		Same: func(have, want *admissionregv1.MutatingWebhookConfiguration) bool {
			return equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks)
		},
		Take: func(have, want *admissionregv1.MutatingWebhookConfiguration) { have.Webhooks = want.Webhooks },
		Failed: func(verb string, err error) error {
			code := errcode.UpdatingMutatingWebhook
			if verb == "create" {
				code = errcode.CreatingMutatingWebhook
			}
			return errcode.Errorf(code, "%s MutatingWebhookConfiguration %s: %w", verb, c.Name, err)
		},
	}
}
