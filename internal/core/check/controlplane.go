package check

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/names"
)

// rootWarning is how long before its end a root certificate is worth a warning, unless a quarter of its life is less: roots of
// other authorities often live for three months and are renewed.
const rootWarning = 60 * 24 * time.Hour

// components are the Deployments every control plane has.
var components = []string{names.Controller, names.Injector, names.Bootstrap}

func controlPlaneReady(f *Facts, r *report) {
	for _, name := range components {
		i := slices.IndexFunc(f.Deployments, func(d appsv1.Deployment) bool { return d.Name == name })
		if i < 0 {
			r.fail("deployment "+f.Namespace+"/"+name, "osm install, or osm mesh upgrade to bring it back; name the control plane's namespace with --osm-namespace", "it does not exist")
			continue
		}
		d := &f.Deployments[i]
		want := ptr.Deref(d.Spec.Replicas, 1)
		switch {
		case want == 0:
			r.fail("deployment "+f.Namespace+"/"+name, fmt.Sprintf("kubectl scale deployment %s -n %s --replicas=1", name, f.Namespace), "it is scaled to 0")
		case d.Status.ReadyReplicas < want:
			level, reasons := Error, f.reasons(name)
			if d.Status.ReadyReplicas > 0 {
				level = Warning
			}
			r.add(level, "deployment "+f.Namespace+"/"+name, fmt.Sprintf("kubectl logs -n %s -l app=%s --all-containers --tail=50", f.Namespace, name),
				"%d of %d replicas are ready%s", d.Status.ReadyReplicas, want, reasons)
		}
	}
}

func (f *Facts) reasons(app string) string {
	var out []string
	for i := range f.Pods {
		p := &f.Pods[i]
		if p.Namespace == f.Namespace && p.Labels[names.LabelApp] == app && !isReady(p) && p.DeletionTimestamp == nil {
			out = append(out, fmt.Sprintf("; pod %s: %s", p.Name, why(p)))
		}
	}
	return strings.Join(out, "")
}

func sameVersion(f *Facts, r *report) {
	seen := map[string]string{}
	for _, d := range f.Deployments {
		if slices.Contains(components, d.Name) {
			seen[d.Labels[names.LabelAppVersion]] = d.Name
		}
	}
	if len(seen) > 1 {
		var words []string
		for v, name := range seen {
			words = append(words, name+" is "+v)
		}
		slices.Sort(words)
		r.fail("namespace "+f.Namespace, "osm mesh upgrade, to bring all of them to one version", "%s", strings.Join(words, ", "))
	}
}

func definitions(f *Facts, r *report) {
	for _, d := range f.Definitions {
		object := "customresourcedefinition " + d.Name
		cure := fmt.Sprintf("kubectl rollout restart deployment %s -n %s, which installs it", names.Bootstrap, f.Namespace)
		switch {
		case len(d.Wanted) == 0:
		case d.Served == nil:
			r.fail(object, cure, "it does not exist, so objects of it cannot be read or written")
		case !d.Established:
			r.fail(object, "kubectl describe it; another definition may hold its names", "the API server has not established it")
		default:
			for _, v := range d.Wanted {
				if !slices.Contains(d.Served, v) {
					r.fail(object, cure, "version %s is not served; it serves %s", v, strings.Join(d.Served, ", "))
				}
			}
		}
	}
}

func meshConfig(f *Facts, r *report) {
	if f.MeshConfig == nil {
		r.fail("meshconfig "+f.Namespace+"/"+names.MeshConfig,
			fmt.Sprintf("kubectl rollout restart deployment %s -n %s, which makes it of the preset", names.Bootstrap, f.Namespace),
			"it does not exist, so the mesh runs with default values")
	}
}

func rootCertificate(f *Facts, r *report) {
	rotation(f, r)
	object := "secret " + f.Namespace + "/" + cmp.Or(f.CASecret, names.CABundleSecret)
	if f.CA == nil {
		r.warn(object, "the controller makes it when it starts: see control-plane-ready", "it does not exist, or you may not read it")
		return
	}
	var last *x509.Certificate // those before it are trusted until the certificates they signed have ended
	for rest := f.CA; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (last == nil || cert.NotAfter.After(last.NotAfter)) {
			last = cert
		}
	}
	if last == nil {
		r.fail(object, "restore it from a backup, or delete it and restart the control plane, then every application", "%s holds no certificate", names.CABundleCertKey)
		return
	}
	left, day := last.NotAfter.Sub(f.Now), last.NotAfter.Format(time.DateOnly)
	switch {
	case left <= 0:
		r.fail(object, "replace the root (docs/guides/check.md#root-certificate)", "the root certificate ended on %s; sidecars trust nobody any more", day)
	case left < min(rootWarning, last.NotAfter.Sub(last.NotBefore)/4):
		r.warn(object, "replace the root before that (docs/guides/check.md#root-certificate)", "the root certificate ends on %s, in %d days", day, int(left.Hours()/24))
	}
}

func certificatesIssued(f *Facts, r *report) {
	for _, o := range f.Outages {
		r.fail("pod "+f.Namespace+"/"+o.Replica, "docs/guides/certificates.md#when-no-certificates-are-issued; sidecars keep the certificates they have until those end",
			"no certificate has been issued since %s: %s", o.Since.Format(time.RFC3339), o.Error)
	}
}

// rotation looks at the MeshRootCertificates: is each as it should be, and is no change of root half done?
func rotation(f *Facts, r *report) {
	var used []string
	for i := range f.Roots {
		o := &f.Roots[i]
		object := "meshrootcertificate " + f.Namespace + "/" + o.Name
		if o.Spec.Role != configv1alpha2.RoleInactive {
			used = append(used, o.Name)
		}
		signs := o.Status.State == configv1alpha2.RootActive || o.Status.State == configv1alpha2.RootIssuingRollout
		c := meta.FindStatusCondition(o.Status.Conditions, status.ConditionAccepted)
		switch {
		case c == nil || c.Status != metav1.ConditionFalse:
		case signs:
			r.fail(object, "put back what is missing, or rotate to another root, before the control plane restarts (docs/guides/root-rotation.md)",
				"certificates are issued from its root, which is in memory alone: %s", c.Message)
		default:
			r.warn(object, fmt.Sprintf("kubectl describe mrc %s -n %s", o.Name, f.Namespace), "it cannot be used: %s", c.Message)
		}
	}
	if len(used) > 1 {
		r.warn("namespace "+f.Namespace, "osm alpha certificate rotate goes on with it (docs/guides/root-rotation.md)",
			"a change of root has not been finished: the MeshRootCertificates %s are in use", strings.Join(used, " and "))
	}
}

func injectionWebhook(f *Facts, r *report) {
	object := "mutatingwebhookconfiguration of mesh " + f.MeshName
	if len(f.Mutating) == 0 {
		r.fail(object, fmt.Sprintf("kubectl rollout restart deployment %s -n %s, which makes it", names.Injector, f.Namespace),
			"it does not exist, so new pods get no sidecar")
		return
	}
	for _, c := range f.Mutating {
		for _, w := range c.Webhooks {
			f.webhook(r, "mutatingwebhookconfiguration "+c.Name, w.ClientConfig, w.FailurePolicy, names.Injector, "new pods get no sidecar", "pods cannot be created")
		}
	}
}

func validationWebhook(f *Facts, r *report) {
	object := "validatingwebhookconfiguration of mesh " + f.MeshName
	if len(f.Validating) == 0 {
		r.warn(object, fmt.Sprintf("kubectl rollout restart deployment %s -n %s, which makes it", names.Controller, f.Namespace),
			"it does not exist, so invalid policies are found only after they are written")
		return
	}
	for _, c := range f.Validating {
		for _, w := range c.Webhooks {
			if w.Name == names.ValidatorOwnWebhook {
				continue // nobody depends on its answer
			}
			f.webhook(r, "validatingwebhookconfiguration "+c.Name, w.ClientConfig, w.FailurePolicy, names.Validator,
				"invalid policies are found only after they are written", "policies cannot be written")
		}
	}
}

// webhook looks at one webhook: that somebody answers, that the API server believes him, and what happens when nobody does.
func (f *Facts) webhook(r *report, object string, client admissionregv1.WebhookClientConfig, policy *admissionregv1.FailurePolicyType, service, open, closed string) {
	if client.Service != nil {
		service = client.Service.Name
	}
	effect := closed
	if ptr.Deref(policy, admissionregv1.Fail) == admissionregv1.Ignore {
		effect = open
		r.warn(object, "set its failurePolicy to Fail", "its failurePolicy is Ignore: when nobody answers, %s", open)
	}
	if f.Ready[service] == 0 {
		r.fail(object, "see control-plane-ready", "no ready pod stands behind service %s/%s, so %s", f.Namespace, service, effect)
	}
	if f.CA != nil && !bytes.Contains(bytes.TrimSpace(client.CABundle), bytes.TrimSpace(f.CA)) && !bytes.Contains(bytes.TrimSpace(f.CA), bytes.TrimSpace(client.CABundle)) {
		r.fail(object, fmt.Sprintf("kubectl rollout restart deployment %s %s -n %s, which write it anew", names.Injector, names.Controller, f.Namespace),
			"its caBundle is not the mesh's root certificate, so the API server refuses the answer and %s", effect)
	}
}
