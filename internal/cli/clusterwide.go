package cli

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"openservicemesh.io/osm/internal/core/names"
)

// meshCRDs are the custom resource definitions of a mesh, in the order in which they have always been deleted; the last
// two came later.
var meshCRDs = []string{
	"egresses.policy.openservicemesh.io",
	"ingressbackends.policy.openservicemesh.io",
	"meshconfigs.config.openservicemesh.io",
	"meshrootcertificates.config.openservicemesh.io",
	"upstreamtrafficsettings.policy.openservicemesh.io",
	"retries.policy.openservicemesh.io",
	"httproutegroups.specs.smi-spec.io",
	"tcproutes.specs.smi-spec.io",
	"trafficsplits.split.smi-spec.io",
	"traffictargets.access.smi-spec.io",
	"telemetries.policy.openservicemesh.io",
	"extensionservices.config.openservicemesh.io",
}

// sharedCRDs belong to a standard that other programs install as well; they are deleted only where they are ours.
var sharedCRDs = []string{"serviceexports.multicluster.x-k8s.io", "serviceimports.multicluster.x-k8s.io"}

// deleteClusterWide deletes what the control plane left in the cluster, when asked to. It goes on after failures and names
// the kinds that failed.
func (a *app) deleteClusterWide(ctx context.Context, cluster *Cluster, u uninstallation) error {
	if !u.clusterWideResources {
		return nil
	}
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return fmt.Errorf("unable to list meshes within the cluster: %w", err)
	}
	if len(meshes) > 0 {
		say(a.Out, "Deleting cluster resources will affect current mesh(es) in cluster:\n")
		for _, m := range meshes {
			say(a.Out, "[%s] mesh in namespace [%s]\n", m.name, m.namespace)
		}
	}
	steps := []struct {
		kind string
		run  func(context.Context, *Cluster, uninstallation) bool
	}{
		{"CustomResourceDefinitions", a.deleteCRDs},
		{"MutatingWebhookConfigurations", a.deleteMutating},
		{"ValidatingWebhookConfigurations", a.deleteValidating},
		{"Secrets", a.deleteSecret},
	}
	var failed []string
	for _, step := range steps {
		if !step.run(ctx, cluster, u) {
			failed = append(failed, step.kind)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("Failed to completely delete the following OSM resource types: %+v", failed)
	}
	return nil
}

func (a *app) deleteCRDs(ctx context.Context, cluster *Cluster, _ uninstallation) bool {
	api := cluster.Extensions.ApiextensionsV1().CustomResourceDefinitions()
	targets := meshCRDs
	for _, name := range sharedCRDs {
		crd, err := api.Get(ctx, name, metav1.GetOptions{})
		if err == nil && crd.Labels[names.LabelAppName] == names.AppName {
			targets = append(targets[:len(targets):len(targets)], name)
		}
	}
	ok := true
	for _, name := range targets {
		err := api.Delete(ctx, name, metav1.DeleteOptions{})
		switch {
		case err == nil:
			say(a.Out, "Successfully deleted OSM CRD: %s\n", name)
		case apierrors.IsNotFound(err):
			say(a.Out, "Ignoring - did not find OSM CRD: %s\n", name)
		default:
			say(a.Out, "Failed to delete OSM CRD %s: %v\n", name, err)
			ok = false
		}
	}
	return ok
}

// webhooksOf selects the webhook configurations that one component of a mesh made.
func webhooksOf(meshName, component string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.Set{
		names.LabelAppName:     names.AppName,
		names.LabelAppInstance: meshName,
		names.LabelApp:         component,
	}.String()}
}

func (a *app) deleteMutating(ctx context.Context, cluster *Cluster, u uninstallation) bool {
	api := cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	list, err := api.List(ctx, webhooksOf(u.meshName, names.Injector))
	var found []string
	if err == nil {
		for _, item := range list.Items {
			found = append(found, item.Name)
		}
	}
	return a.deleteWebhooks(ctx, "MutatingWebhookConfiguration", found, err, api.Delete)
}

func (a *app) deleteValidating(ctx context.Context, cluster *Cluster, u uninstallation) bool {
	api := cluster.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	list, err := api.List(ctx, webhooksOf(u.meshName, names.Controller))
	var found []string
	if err == nil {
		for _, item := range list.Items {
			found = append(found, item.Name)
		}
	}
	return a.deleteWebhooks(ctx, "ValidatingWebhookConfiguration", found, err, api.Delete)
}

func (a *app) deleteWebhooks(ctx context.Context, kind string, found []string, listed error, remove func(context.Context, string, metav1.DeleteOptions) error) bool {
	if listed != nil {
		say(a.Out, "Failed to list OSM %ss in the cluster: %v\n", kind, listed)
		return false
	}
	if len(found) == 0 {
		say(a.Out, "Ignoring - did not find any OSM %[1]ss in the cluster. Use --mesh-name to delete %[1]ss belonging to a specific mesh if desired\n", kind)
		return true
	}
	ok := true
	for _, name := range found {
		if err := remove(ctx, name, metav1.DeleteOptions{}); err != nil {
			say(a.Out, "Found but failed to delete OSM %s %s: %v\n", kind, name, err)
			ok = false
			continue
		}
		say(a.Out, "Successfully deleted OSM %s: %s\n", kind, name)
	}
	return ok
}

func (a *app) deleteSecret(ctx context.Context, cluster *Cluster, u uninstallation) bool {
	err := cluster.Kube.CoreV1().Secrets(u.namespace).Delete(ctx, u.caBundleSecret, metav1.DeleteOptions{})
	switch {
	case err == nil:
		say(a.Out, "Successfully deleted OSM secret %s in namespace %s\n", u.caBundleSecret, u.namespace)
	case apierrors.IsNotFound(err):
		say(a.Out, "Ignoring - did not find OSM CA bundle secret %s in namespace %s. Use --ca-bundle-secret-name and --osm-namespace "+
			"to delete a specific mesh namespace's CA bundle secret if desired\n", u.caBundleSecret, u.namespace)
	default:
		say(a.Out, "Found but failed to delete the OSM secret %s in namespace %s: %v\n", u.caBundleSecret, u.namespace, err)
		return false
	}
	return true
}
