package verify

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/names"
)

// World is where a verification looks. Functions return errors that say what could not be read.
type World struct {
	// MeshName is the mesh that namespaces must belong to, Namespace where its control plane is.
	MeshName, Namespace string

	GetNamespace      func(ctx context.Context, name string) (*corev1.Namespace, error)
	GetPod            func(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	GetService        func(ctx context.Context, namespace, name string) (*corev1.Service, error)
	GetIngressBackend func(ctx context.Context, namespace, name string) (*policyv1.IngressBackend, error)
	// PodsOfApp lists the control plane's pods with a label app.
	PodsOfApp func(ctx context.Context, app string) ([]corev1.Pod, error)
	// PodsOfService lists the pods that a service selects.
	PodsOfService func(ctx context.Context, s *corev1.Service) ([]corev1.Pod, error)
	// Dump fetches config_dump?include_eds of a pod's sidecar.
	Dump func(ctx context.Context, namespace, pod string) ([]byte, error)
	// Probe asks a pod's health page; nil means well.
	Probe func(ctx context.Context, namespace, pod, path string) error
}

// Name is a namespaced name as users write it.
type Name struct{ Namespace, Name string }

func (n Name) String() string { return n.Namespace + "/" + n.Name }

// monitored verifies that a namespace belongs to the mesh.
func (w World) monitored(ctx context.Context, namespace string) Result {
	what := fmt.Sprintf("Verify if namespace %q is monitored", namespace)
	ns, err := w.GetNamespace(ctx, namespace)
	if err != nil {
		return unknown(what, "", "Error fetching namespace %q", namespace)
	}
	mesh, labelled := ns.Labels[names.LabelMonitoredBy]
	if !labelled {
		return failure(what, fmt.Sprintf("Add label %q on namespace %q to include it in the mesh and restart the app", names.LabelMonitoredBy, namespace),
			"Missing label %q on namespace %q", names.LabelMonitoredBy, namespace)
	}
	if mesh != w.MeshName {
		return failure(what, "", "Expected label %q to have value %q, got %q", names.LabelMonitoredBy, w.MeshName, mesh)
	}
	return success(what)
}

// sidecar verifies that a pod has a sidecar, or that it has none.
func (w World) sidecar(ctx context.Context, name Name, expected bool) Result {
	what := fmt.Sprintf("Verify Envoy sidecar on pod %q", name)
	pod, err := w.GetPod(ctx, name.Namespace, name.Name)
	if err != nil {
		return unknown(what, fmt.Sprintf("Confirm pod %q exists", name), "Error retrieving pod %q, err: %s", name, err)
	}
	switch has := hasSidecar(pod); {
	case has && !expected:
		return failure(what, fmt.Sprintf("Ensure pod %q does not have sidecar injection enabled", name),
			"Found Envoy sidecar on pod %q when one wasn't expected", name)
	case !has && expected:
		return failure(what, fmt.Sprintf("Ensure pod %q has sidecar injection enabled", name), "Did not find Envoy sidecar on pod %q", name)
	}
	return success(what)
}

// hasSidecar looks for the container: as one of the pod's own, or as an init container that keeps running.
func hasSidecar(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == names.ContainerEnvoy {
				return true
			}
		}
	}
	return false
}

// dump fetches and reads the configuration of a pod's sidecar.
func (w World) dump(ctx context.Context, name Name) (*dump, error) {
	text, err := w.Dump(ctx, name.Namespace, name.Name)
	if err != nil {
		return nil, err
	}
	return parse(text)
}
