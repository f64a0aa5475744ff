package validate

import (
	"context"
	"maps"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// timeoutSeconds is how long the API server waits before it follows the failure policy.
const timeoutSeconds = 10

// Configuration is what the API server is told about this webhook.
type Configuration struct {
	// Name of the ValidatingWebhookConfiguration, for example "osm-validator-mesh-osm".
	Name         string
	MeshName     string
	OSMNamespace string
	// Version of the mesh, for a label.
	Version string
	// TrafficTargets includes TrafficTarget objects.
	TrafficTargets bool
	// Reconcile marks the object for the reconciler.
	Reconcile bool
}

// Build returns the whole object, every field set that the API server would default, so that comparing it is exact.
func (c Configuration) Build(caBundle []byte) *admissionregv1.ValidatingWebhookConfiguration {
	path, port, timeout := names.ValidatorWebhookPath, int32(names.PortValidator), int32(timeoutSeconds)
	fail, exact, sideEffects := admissionregv1.Fail, admissionregv1.Exact, admissionregv1.SideEffectClassNoneOnDryRun
	labels := map[string]string{
		names.LabelAppName: names.AppName, names.LabelAppInstance: c.MeshName, names.LabelAppVersion: c.Version, names.LabelApp: names.Controller,
	}
	if c.Reconcile {
		labels[names.LabelReconcile] = "true"
	}
	return &admissionregv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: labels},
		Webhooks: []admissionregv1.ValidatingWebhook{{
			Name: names.ValidatorWebhook,
			ClientConfig: admissionregv1.WebhookClientConfig{
				CABundle: caBundle,
				Service:  &admissionregv1.ServiceReference{Namespace: c.OSMNamespace, Name: names.Validator, Path: &path, Port: &port},
			},
			Rules:         c.rules(),
			FailurePolicy: &fail, MatchPolicy: &exact, SideEffects: &sideEffects, TimeoutSeconds: &timeout,
			NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{names.LabelMonitoredBy: c.MeshName},
				MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: names.LabelIgnore, Operator: metav1.LabelSelectorOpDoesNotExist},
					{Key: names.LabelNamespaceName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{c.OSMNamespace}},
					{Key: names.LabelControlPlane, Operator: metav1.LabelSelectorOpDoesNotExist},
				},
			},
			ObjectSelector:          &metav1.LabelSelector{},
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func (c Configuration) rules() []admissionregv1.RuleWithOperations {
	rule := func(gv schema.GroupVersion, resources ...string) admissionregv1.RuleWithOperations {
		scope := admissionregv1.NamespacedScope
		return admissionregv1.RuleWithOperations{
			Operations: []admissionregv1.OperationType{admissionregv1.Create, admissionregv1.Update},
			Rule:       admissionregv1.Rule{APIGroups: []string{gv.Group}, APIVersions: []string{gv.Version}, Resources: resources, Scope: &scope},
		}
	}
	out := []admissionregv1.RuleWithOperations{
		rule(policyv1.GroupVersion, policyv1.IngressBackends.Resource, policyv1.Egresses.Resource, policyv1.UpstreamTrafficSettings.Resource),
	}
	if c.TrafficTargets {
		out = append(out, rule(accessv1alpha3.GroupVersion, accessv1alpha3.TrafficTargets.Resource))
	}
	return out
}

// Webhooks is the client of ValidatingWebhookConfigurations. The generated client implements it.
type Webhooks interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*admissionregv1.ValidatingWebhookConfiguration, error)
	Create(ctx context.Context, c *admissionregv1.ValidatingWebhookConfiguration, opts metav1.CreateOptions) (*admissionregv1.ValidatingWebhookConfiguration, error)
	Update(ctx context.Context, c *admissionregv1.ValidatingWebhookConfiguration, opts metav1.UpdateOptions) (*admissionregv1.ValidatingWebhookConfiguration, error)
}

// Ensure makes the object in the cluster what Build says, or finds that it is. It writes only what differs, so that
// replicas that agree do not write in turns. With create false an object that is gone stays gone: it may have been
// removed together with the mesh. It reports whether it wrote.
func (c Configuration) Ensure(ctx context.Context, client Webhooks, caBundle []byte, create bool) (wrote bool, err error) {
	want := c.Build(caBundle)
	again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultBackoff, again, func() error {
		have, err := client.Get(ctx, c.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if !create {
				return nil
			}
			_, err = client.Create(ctx, want, metav1.CreateOptions{})
			wrote = err == nil
			return c.wrap("create", err)
		}
		if err != nil {
			return c.wrap("read", err)
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
		wrote = err == nil
		return c.wrap("update", err)
	})
	return wrote, err
}

// same compares what this program decides; labels and annotations of others do not matter.
func same(have, want *admissionregv1.ValidatingWebhookConfiguration) bool {
	for k, v := range want.Labels {
		if have.Labels[k] != v {
			return false
		}
	}
	return equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks)
}

// wrap keeps the API error inside, which the retry looks at.
func (c Configuration) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return errcode.Errorf(errcode.CreatingValidatingWebhook, "%s ValidatingWebhookConfiguration %s: %w", verb, c.Name, err)
}
