package validate

import (
	"context"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/webhook/announce"
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
		names.LabelAppName: names.AppName, names.LabelAppInstance: c.MeshName, names.LabelAppVersion: names.VersionLabel(c.Version), names.LabelApp: names.Controller,
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
		}, c.own(caBundle)},
	}
}

// own is the webhook of the control plane's own namespace. When nobody answers, objects are let through: osm-bootstrap makes
// the first MeshRootCertificate while the controller, which waits for osm-bootstrap, may be down. Most rules are in the
// definition too, and the control plane does not follow an object that it cannot use.
func (c Configuration) own(caBundle []byte) admissionregv1.ValidatingWebhook {
	path, port, timeout := names.ValidatorWebhookPath, int32(names.PortValidator), int32(timeoutSeconds)
	ignore, exact, sideEffects := admissionregv1.Ignore, admissionregv1.Exact, admissionregv1.SideEffectClassNoneOnDryRun
	rule := ruleFor(config.GroupVersion, config.MeshRootCertificates.Resource)
	rule.Operations = append(rule.Operations, admissionregv1.Delete)
	return admissionregv1.ValidatingWebhook{
		Name: names.ValidatorOwnWebhook,
		ClientConfig: admissionregv1.WebhookClientConfig{
			CABundle: caBundle,
			Service:  &admissionregv1.ServiceReference{Namespace: c.OSMNamespace, Name: names.Validator, Path: &path, Port: &port},
		},
		Rules:         []admissionregv1.RuleWithOperations{rule},
		FailurePolicy: &ignore, MatchPolicy: &exact, SideEffects: &sideEffects, TimeoutSeconds: &timeout,
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{names.LabelNamespaceName: c.OSMNamespace}},
		ObjectSelector:          &metav1.LabelSelector{},
		AdmissionReviewVersions: []string{"v1"},
	}
}

func (c Configuration) rules() []admissionregv1.RuleWithOperations {
	out := []admissionregv1.RuleWithOperations{
		ruleFor(policyv1.GroupVersion, policyv1.IngressBackends.Resource, policyv1.Egresses.Resource, policyv1.UpstreamTrafficSettings.Resource),
	}
	if c.TrafficTargets {
		out = append(out, ruleFor(accessv1alpha3.GroupVersion, accessv1alpha3.TrafficTargets.Resource))
	}
	return out
}

func ruleFor(gv schema.GroupVersion, resources ...string) admissionregv1.RuleWithOperations {
	scope := admissionregv1.NamespacedScope
	return admissionregv1.RuleWithOperations{
		Operations: []admissionregv1.OperationType{admissionregv1.Create, admissionregv1.Update},
		Rule:       admissionregv1.Rule{APIGroups: []string{gv.Group}, APIVersions: []string{gv.Version}, Resources: resources, Scope: &scope},
	}
}

// Keeper keeps the object in a cluster. stays tells whether this version is the one that is to run.
func (c Configuration) Keeper(client announce.Client[*admissionregv1.ValidatingWebhookConfiguration], stays func(context.Context) (bool, error)) announce.Keeper[*admissionregv1.ValidatingWebhookConfiguration] {
	return announce.Keeper[*admissionregv1.ValidatingWebhookConfiguration]{
		Client: client, Build: c.Build, Stays: stays, Reconcile: c.Reconcile,
		Same: func(have, want *admissionregv1.ValidatingWebhookConfiguration) bool {
			return equality.Semantic.DeepEqual(have.Webhooks, want.Webhooks)
		},
		Take: func(have, want *admissionregv1.ValidatingWebhookConfiguration) { have.Webhooks = want.Webhooks },
		Failed: func(verb string, err error) error {
			return errcode.Errorf(errcode.CreatingValidatingWebhook, "%s ValidatingWebhookConfiguration %s: %w", verb, c.Name, err)
		},
	}
}
