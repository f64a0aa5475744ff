package inject

import (
	"bytes"
	"context"
	"maps"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
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
		names.LabelAppName: names.AppName, names.LabelAppInstance: c.Mesh.Name, names.LabelAppVersion: c.Version, names.LabelApp: names.Injector,
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

// Ensure makes the object in the cluster what Build says, or finds that it is. It writes only what differs, so that
// replicas that agree do not write in turns. With create false an object that is gone stays gone: it may have been
// removed together with the mesh.
func (c Configuration) Ensure(ctx context.Context, kube kubernetes.Interface, caBundle []byte, create bool) error {
	client := kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	want := c.Build(caBundle)
	again := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	}
	return retry.OnError(retry.DefaultBackoff, again, func() error {
		have, err := client.Get(ctx, c.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if !create {
				return nil
			}
			_, err = client.Create(ctx, want, metav1.CreateOptions{})
			return wrap(errcode.CreatingMutatingWebhook, "create", c.Name, err)
		}
		if err != nil {
			return wrap(errcode.UpdatingMutatingWebhook, "read", c.Name, err)
		}
		if same(have, want) {
			return nil
		}
		next := have.DeepCopy()
		next.Webhooks = want.Webhooks
		if next.Labels == nil {
			next.Labels = map[string]string{}
		}
		maps.Copy(next.Labels, want.Labels)
		_, err = client.Update(ctx, next, metav1.UpdateOptions{})
		return wrap(errcode.UpdatingMutatingWebhook, "update", c.Name, err)
	})
}

// same compares what this program decides; labels and annotations of others do not matter.
func same(have, want *admissionregv1.MutatingWebhookConfiguration) bool {
	for k, v := range want.Labels {
		if have.Labels[k] != v {
			return false
		}
	}
	return len(have.Webhooks) == 1 && bytes.Equal(have.Webhooks[0].ClientConfig.CABundle, want.Webhooks[0].ClientConfig.CABundle) &&
		equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks)
}

// wrap keeps the API error inside, which the retry looks at.
func wrap(code errcode.Code, verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return errcode.Errorf(code, "%s MutatingWebhookConfiguration %s: %w", verb, name, err)
}
