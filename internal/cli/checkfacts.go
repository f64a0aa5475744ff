package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	definitions "openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/check"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// facts reads all that checks look at. What the user may not read is left out and shows as missing.
func (a *app) facts(ctx context.Context, cluster *Cluster, o checkOptions) (*check.Facts, error) {
	f := &check.Facts{Now: time.Now(), Before: o.before, MeshName: o.meshName, Namespace: a.namespace}
	steps := []func(context.Context, *Cluster, *check.Facts) error{a.clusterFacts, a.meshFacts}
	if o.before {
		steps = append(steps, a.rightsFacts)
	} else {
		steps = append(steps, a.controlPlaneFacts, a.webhookFacts, a.definitionFacts, a.policyFacts, a.proxyFacts, a.departureFacts)
	}
	for _, step := range steps {
		if err := step(ctx, cluster, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (a *app) clusterFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	var err error
	if f.Server, err = cluster.Version(ctx); err != nil {
		return noAccess(err)
	}
	if nodes, err := cluster.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		f.Nodes = nodes.Items
	}
	list, err := cluster.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot list namespaces: %w", err)
	}
	f.Namespaces = list.Items
	return nil
}

// meshFacts finds the meshes there are and, among them, the one that is meant.
func (a *app) meshFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	list, err := cluster.Kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return fmt.Errorf("cannot list the Deployments of controllers in all namespaces: %w", err)
	}
	f.Controllers = list.Items
	for _, d := range list.Items {
		if f.MeshName == "" && d.Namespace == f.Namespace {
			f.MeshName = d.Labels[names.LabelMeshName]
		}
	}
	f.MeshName = cmp.Or(f.MeshName, names.DefaultMeshName)
	return nil
}

// rightsFacts asks for the rights that the embedded chart's installation needs.
func (a *app) rightsFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	c, err := chartSource{}.load("checking")
	if err != nil {
		return err
	}
	rel, err := renderOffline(ctx, c, map[string]any{}, f.MeshName, f.Namespace, f.Server)
	if err != nil {
		return err
	}
	rights, err := neededRights(rel, f.Namespace, namespaceMissing(ctx, cluster.Kube, f.Namespace))
	if err != nil {
		return err
	}
	f.MissingRights = missingRights(ctx, cluster.Kube, rights)
	return nil
}

func (a *app) controlPlaneFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	deployments, err := cluster.Kube.AppsV1().Deployments(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{
		names.LabelAppName: names.AppName, names.LabelAppInstance: f.MeshName}.String()})
	if err != nil {
		return fmt.Errorf("cannot list the Deployments of namespace %s: %w", f.Namespace, err)
	}
	f.Deployments = slices.DeleteFunc(deployments.Items, func(d appsv1.Deployment) bool { return d.DeletionTimestamp != nil })
	pods, err := cluster.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot list pods: %w", err)
	}
	f.Pods = pods.Items
	addresses, err := cluster.Kube.DiscoveryV1().EndpointSlices(f.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot list the EndpointSlices of namespace %s: %w", f.Namespace, err)
	}
	f.Ready = map[string]int{}
	for _, s := range addresses.Items {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				f.Ready[s.Labels[discoveryv1.LabelServiceName]] += len(e.Addresses)
			}
		}
	}
	if f.MeshConfig, err = readMeshConfig(ctx, cluster.Dynamic, f.Namespace); apierrors.IsNotFound(err) {
		f.MeshConfig = nil
	} else if err != nil {
		return fmt.Errorf("cannot read MeshConfig %s/%s: %w", f.Namespace, names.MeshConfig, err)
	}
	rootFacts(ctx, cluster, f)
	return nil
}

// rootFacts reads the root that issues. What may not be read is missing.
func rootFacts(ctx context.Context, cluster *Cluster, f *check.Facts) {
	f.CASecret = names.CABundleSecret
	if f.MeshConfig != nil && f.MeshConfig.Spec.FeatureFlags.EnableMeshRootCertificate {
		list, err := cluster.Dynamic.Resource(config.MeshRootCertificates).Namespace(f.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			list = &unstructured.UnstructuredList{}
		}
		for i := range list.Items {
			o, err := typedRoot(&list.Items[i])
			if err != nil {
				continue
			}
			f.Roots = append(f.Roots, *o)
			issues := o.Status.State == config.RootActive || o.Status.State == config.RootIssuingRollout
			if issues && o.Spec.Provider.Tresor != nil {
				f.CASecret = o.Spec.Provider.Tresor.CA.SecretRef.Name
			}
		}
	}
	if secret, err := cluster.Kube.CoreV1().Secrets(f.Namespace).Get(ctx, f.CASecret, metav1.GetOptions{}); err == nil {
		f.CA = secret.Data[names.CABundleCertKey]
	}
}

func (a *app) webhookFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	of := func(app string) metav1.ListOptions {
		return metav1.ListOptions{LabelSelector: labels.Set{
			names.LabelAppName: names.AppName, names.LabelAppInstance: f.MeshName, names.LabelApp: app}.String()}
	}
	mutating, err := cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, of(names.Injector))
	if err != nil {
		return fmt.Errorf("cannot list MutatingWebhookConfigurations: %w", err)
	}
	validating, err := cluster.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(ctx, of(names.Controller))
	if err != nil {
		return fmt.Errorf("cannot list ValidatingWebhookConfigurations: %w", err)
	}
	f.Mutating, f.Validating = mutating.Items, validating.Items
	return nil
}

// definitionFacts holds each definition that the mesh needs against the cluster's.
func (a *app) definitionFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	wanted, err := definitions.All()
	if err != nil {
		return err
	}
	for _, w := range wanted {
		d := check.Definition{Name: w.Name, Wanted: served(w)}
		have, err := cluster.Extensions.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, w.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			d.Served = served(have)
			d.Established = slices.ContainsFunc(have.Status.Conditions, func(c apiextv1.CustomResourceDefinitionCondition) bool {
				return c.Type == apiextv1.Established && c.Status == apiextv1.ConditionTrue
			})
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("cannot read CustomResourceDefinition %s: %w", w.Name, err)
		}
		f.Definitions = append(f.Definitions, d)
	}
	return nil
}

func served(d *apiextv1.CustomResourceDefinition) []string {
	out := []string{}
	for _, v := range d.Spec.Versions {
		if v.Served {
			out = append(out, v.Name)
		}
	}
	return out
}

// policyFacts compiles the policies, and reads which of them proxies refuse. Without definitions there is nothing to compile.
func (a *app) policyFacts(ctx context.Context, _ *Cluster, f *check.Facts) error {
	if slices.ContainsFunc(f.Definitions, func(d check.Definition) bool { return d.Served == nil }) || len(f.Controllers) == 0 {
		return nil
	}
	mesh, err := a.readMesh(ctx, nil)
	if err != nil {
		return err
	}
	f.Findings = mesh.findings
	for i := range mesh.live {
		f.Refused = append(f.Refused, refusals(&mesh.live[i])...)
	}
	return nil
}

// refusals are the conditions by which the controller says that proxies refuse what the object says.
func refusals(o *unstructured.Unstructured) []check.Condition {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	var out []check.Condition
	for _, c := range list {
		m, _ := c.(map[string]any)
		if m["type"] == status.ConditionProgrammed && m["status"] == "False" && m["reason"] == rollout.ReasonRejected {
			out = append(out, check.Condition{
				Object:  snapshot.ObjectRef{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()},
				Message: fmt.Sprint(m["message"]),
			})
		}
	}
	return out
}

func (a *app) proxyFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	pages, err := a.controllerPages(ctx, cluster)
	if err != nil {
		f.ProxiesUnknown = err.Error()
	}
	for _, p := range pages {
		f.Proxies = append(f.Proxies, p.page.Proxies...)
		if p.page.Outage != nil {
			f.Outages = append(f.Outages, check.Outage{Replica: p.replica, Outage: *p.page.Outage})
		}
	}
	return nil
}

// departureFacts drops the pods that have gone, or began to, since they were listed: whatever else was read since may lack them.
func (a *app) departureFacts(ctx context.Context, cluster *Cluster, f *check.Facts) error {
	pods, err := cluster.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot list pods: %w", err)
	}
	stay := map[types.UID]bool{}
	for i := range pods.Items {
		stay[pods.Items[i].UID] = pods.Items[i].DeletionTimestamp == nil
	}
	f.Pods = slices.DeleteFunc(f.Pods, func(p corev1.Pod) bool { return !stay[p.UID] })
	return nil
}
