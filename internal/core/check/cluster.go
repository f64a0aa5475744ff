package check

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"openservicemesh.io/osm/internal/core/coexist"
	"openservicemesh.io/osm/internal/core/names"
)

// Oldest versions that work. The kernel's is the first whose nftables redirect IPv4 and IPv6 alike (nft_redir, 4.18).
const (
	oldestKubernetes = "1.22.9"
	oldestKernel     = "4.18.0"
)

func kubernetesVersion(f *Facts, r *report) {
	v, err := version.ParseGeneric(f.Server)
	switch {
	case err != nil:
		r.warn("API server", "ask whoever runs the cluster", "its version %q is not one this command knows", f.Server)
	case v.LessThan(version.MustParseGeneric(oldestKubernetes)):
		r.fail("API server", "upgrade the cluster to "+oldestKubernetes+" or newer", "Kubernetes %s is older than %s", f.Server, oldestKubernetes)
	}
}

func nodeKernel(f *Facts, r *report) {
	for _, n := range f.Nodes {
		info := n.Status.NodeInfo
		if info.OperatingSystem != "linux" {
			continue // pods there are left alone
		}
		v, err := version.ParseGeneric(info.KernelVersion)
		if err == nil && v.LessThan(version.MustParseGeneric(oldestKernel)) {
			r.fail("node "+n.Name, "run pods of the mesh on nodes with a newer kernel", "Linux %s is older than %s, so osm-init cannot redirect traffic", info.KernelVersion, oldestKernel)
		}
	}
}

// podSecurityLabel is Kubernetes' own: https://kubernetes.io/docs/concepts/security/pod-security-admission/.
const podSecurityLabel = "pod-security.kubernetes.io/enforce"

func podSecurity(f *Facts, r *report) {
	for _, ns := range f.members() {
		if level := ns.Labels[podSecurityLabel]; level == "baseline" || level == "restricted" {
			r.fail("namespace "+ns.Name, fmt.Sprintf("kubectl label namespace %s %s=privileged --overwrite", ns.Name, podSecurityLabel),
				"pod security %q refuses osm-init, which needs NET_ADMIN to redirect traffic, so pods are not created", level)
		}
	}
}

// otherMeshes are the labels and annotations by which other meshes inject.
var otherMeshes = []struct{ mesh, key, value string }{
	{"Istio", "istio-injection", "enabled"}, {"Istio", "istio.io/rev", ""},
	{"Linkerd", "linkerd.io/inject", "enabled"}, {"Linkerd", "linkerd.io/inject", "ingress"},
	{"Kuma", "kuma.io/sidecar-injection", "enabled"}, {"Consul", "consul.hashicorp.com/connect-inject", "true"},
}

func otherMesh(f *Facts, r *report) {
	for _, ns := range f.members() {
		for _, o := range otherMeshes {
			value, label := ns.Labels[o.key]
			if !label {
				var annotated bool
				if value, annotated = ns.Annotations[o.key]; !annotated {
					continue
				}
			}
			if o.value == "" || value == o.value {
				r.fail("namespace "+ns.Name, fmt.Sprintf("take %s off the namespace, or the namespace out of the mesh (osm namespace remove %s)", o.key, ns.Name),
					"%s injects here too (%s=%s); two sidecars redirect the same traffic", o.mesh, o.key, value)
			}
		}
	}
}

func rights(f *Facts, r *report) {
	for _, what := range f.MissingRights {
		r.fail("you", "ask for the role cluster-admin, or have somebody who has it install", "may not create %s", what)
	}
}

func singleMesh(f *Facts, r *report) {
	var existing []coexist.Mesh
	for _, d := range f.Controllers {
		existing = append(existing, coexist.Mesh{Name: d.Labels[names.LabelMeshName], Namespace: d.Namespace, Only: d.Labels[names.LabelEnforceSingleMesh] == "true"})
	}
	// A mesh insists on being the only one unless it is told otherwise.
	for _, o := range coexist.Obstacles(coexist.Mesh{Namespace: f.Namespace, Only: true}, existing) {
		mesh := fmt.Sprintf("mesh %s in namespace %s", o.Mesh.Name, o.Mesh.Namespace)
		switch here := o.Mesh.Namespace == f.Namespace; {
		case o.Reason == coexist.SameNamespace:
			r.fail(mesh, "osm mesh upgrade, or osm uninstall mesh first", "it is in the namespace that is to be installed in")
		case here: // told already
		case o.Reason == coexist.InsistsItself:
			r.fail(mesh, "osm uninstall mesh --mesh-name "+o.Mesh.Name+" --osm-namespace "+o.Mesh.Namespace, "it wants to be the only one in the cluster")
		default:
			r.warn(mesh, "install with --enforce-single-mesh=false", "a mesh that wants to be the only one cannot be installed beside it")
		}
	}
}

// members are the namespaces of the mesh; before there is one, none.
func (f *Facts) members() []corev1.Namespace {
	var out []corev1.Namespace
	for _, ns := range f.Namespaces {
		if _, ignored := ns.Labels[names.LabelIgnore]; ns.Labels[names.LabelMonitoredBy] == f.MeshName && !ignored {
			out = append(out, ns)
		}
	}
	return out
}

func (f *Facts) member(name string) bool {
	return slices.ContainsFunc(f.members(), func(ns corev1.Namespace) bool { return ns.Name == name })
}

// why says what keeps a pod from being ready, in the words of its containers' states.
func why(p *corev1.Pod) string {
	var out []string
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			out = append(out, "it is not scheduled: "+c.Message)
		}
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		sidecar := s.Started != nil && *s.Started
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing" && s.State.Waiting.Reason != "ContainerCreating":
			out = append(out, strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message), ": "))
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			out = append(out, fmt.Sprintf("container %s ended with exit code %d", s.Name, s.State.Terminated.ExitCode))
		case s.State.Running != nil && !s.Ready && !sidecar:
			out = append(out, fmt.Sprintf("container %s runs and is not ready", s.Name))
		case s.State.Running != nil && !s.Ready:
			out = append(out, fmt.Sprintf("container %s runs and does not pass its readiness probe", s.Name))
		}
	}
	if out == nil {
		return "its containers are being started"
	}
	return strings.Join(out, "; ")
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
