package cli

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
)

// namespaceInfo is one namespace of a mesh as -o json and yaml show it.
type namespaceInfo struct {
	Name string `json:"name"`
	Mesh string `json:"mesh"`
	// SidecarInjection is the annotation's value, "disabled (ignored)", or "".
	SidecarInjection string `json:"sidecarInjection"`
	Metrics          bool   `json:"metrics"`
	// Sidecars of Pods pods have a sidecar.
	Sidecars int `json:"sidecars"`
	Pods     int `json:"pods"`
}

func describeNamespace(ns *corev1.Namespace) namespaceInfo {
	info := namespaceInfo{
		Name: ns.Name, Mesh: ns.Labels[names.LabelMonitoredBy], SidecarInjection: ns.Annotations[names.AnnotationInjection],
		Metrics: ns.Annotations[names.AnnotationMetrics] == "enabled",
	}
	if _, ignored := ns.Labels[names.LabelIgnore]; ignored {
		info.SidecarInjection = "disabled (ignored)"
	}
	return info
}

// count counts the pods of a namespace that run, and those of them that have a sidecar.
func (info *namespaceInfo) count(ctx context.Context, kube kubernetes.Interface) error {
	pods, err := kube.CoreV1().Pods(info.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("Could not list the pods of namespace [%s]: %w", info.Name, err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		info.Pods++
		if _, meshed := p.Labels[names.LabelProxyUUID]; meshed {
			info.Sidecars++
		}
	}
	return nil
}

func (a *app) namespaceList(ctx context.Context, kube kubernetes.Interface, meshName string, output listOutput) error {
	list, err := namespacesOf(ctx, kube, meshName)
	if err != nil {
		return fmt.Errorf("Could not list namespaces related to osm [%s]: %w", meshName, err)
	}
	infos := []namespaceInfo{}
	for _, ns := range list {
		info := describeNamespace(&ns)
		if output.format != "" {
			if err := info.count(ctx, kube); err != nil {
				return err
			}
		}
		infos = append(infos, info)
	}
	if written, err := output.write(a.Out, infos); written {
		return err
	}
	if len(infos) == 0 && meshName != "" {
		say(a.Out, "No namespaces in mesh [%s]\n", meshName)
		return nil
	}
	if len(infos) == 0 {
		say(a.Out, "No namespaces in any mesh\n")
		return nil
	}
	return a.printNamespaces(infos, output.wide())
}

func (a *app) printNamespaces(infos []namespaceInfo, wide bool) error {
	w := table(a.Out)
	say(w, "NAMESPACE\tMESH\tSIDECAR-INJECTION")
	if wide {
		say(w, "\tMETRICS\tSIDECARS")
	}
	say(w, "\n")
	for _, info := range infos {
		say(w, "%s\t%s\t%s", info.Name, info.Mesh, cmp.Or(info.SidecarInjection, "-"))
		if wide {
			metrics := "disabled"
			if info.Metrics {
				metrics = "enabled"
			}
			say(w, "\t%s\t%d/%d", metrics, info.Sidecars, info.Pods)
		}
		say(w, "\n")
	}
	return w.Flush()
}
