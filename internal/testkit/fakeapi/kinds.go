package fakeapi

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"openservicemesh.io/osm/api/scheme"
)

// kind is one resource that the server serves.
type kind struct {
	gv         schema.GroupVersion
	name       string
	plural     string
	namespaced bool
}

func (k kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.gv.Group, Resource: k.plural}
}

func builtin(group, version string, namespaced bool, pairs ...string) []kind {
	var out []kind
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, kind{schema.GroupVersion{Group: group, Version: version}, pairs[i], pairs[i+1], namespaced})
	}
	return out
}

// kinds lists what is served.
func kinds() []kind {
	out := slices.Concat(
		builtin("", "v1", false, "Namespace", "namespaces", "Node", "nodes"),
		builtin("", "v1", true, "Pod", "pods", "Service", "services", "Secret", "secrets", "ConfigMap", "configmaps", "Event", "events",
			"ServiceAccount", "serviceaccounts", "Endpoints", "endpoints"),
		builtin("apps", "v1", true, "Deployment", "deployments", "ReplicaSet", "replicasets", "StatefulSet", "statefulsets", "DaemonSet", "daemonsets"),
		builtin("batch", "v1", true, "Job", "jobs"),
		builtin("policy", "v1", true, "PodDisruptionBudget", "poddisruptionbudgets"),
		builtin("autoscaling", "v2", true, "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
		builtin("networking.k8s.io", "v1", true, "NetworkPolicy", "networkpolicies"),
		builtin("coordination.k8s.io", "v1", true, "Lease", "leases"),
		builtin("discovery.k8s.io", "v1", true, "EndpointSlice", "endpointslices"),
		builtin("rbac.authorization.k8s.io", "v1", false, "ClusterRole", "clusterroles", "ClusterRoleBinding", "clusterrolebindings"),
		builtin("rbac.authorization.k8s.io", "v1", true, "Role", "roles", "RoleBinding", "rolebindings"),
		builtin("scheduling.k8s.io", "v1", false, "PriorityClass", "priorityclasses"),
		builtin("authorization.k8s.io", "v1", false, "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
		builtin("admissionregistration.k8s.io", "v1", false, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
			"ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
		builtin("apiextensions.k8s.io", "v1", false, "CustomResourceDefinition", "customresourcedefinitions"),
	)
	for _, k := range scheme.Served() {
		if k.Storage {
			out = append(out, kind{schema.GroupVersion{Group: k.Group, Version: k.Version}, k.Kind, k.Plural, k.Namespaced})
		}
	}
	return out
}

// apiGroups is the answer to GET /apis.
func apiGroups() *metav1.APIGroupList {
	out := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, k := range kinds() {
		v := metav1.GroupVersionForDiscovery{GroupVersion: k.gv.String(), Version: k.gv.Version}
		known := slices.ContainsFunc(out.Groups, func(g metav1.APIGroup) bool { return g.Name == k.gv.Group })
		if k.gv.Group != "" && !known {
			out.Groups = append(out.Groups, metav1.APIGroup{Name: k.gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
	}
	slices.SortFunc(out.Groups, func(a, b metav1.APIGroup) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// apiResources is the answer to GET /apis/<group>/<version>; nil when there is no such group.
func apiResources(gv schema.GroupVersion) *metav1.APIResourceList {
	out := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, k := range kinds() {
		if k.gv == gv {
			out.APIResources = append(out.APIResources, metav1.APIResource{Name: k.plural, Kind: k.name, Namespaced: k.namespaced,
				Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}})
		}
	}
	if len(out.APIResources) == 0 {
		return nil
	}
	return out
}
