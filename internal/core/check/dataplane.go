package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// startPatience is how long a pod may take to start before it is worth a word.
const startPatience = 2 * time.Minute

func namespaceLabels(f *Facts, r *report) {
	for _, ns := range f.Namespaces {
		mesh := ns.Labels[names.LabelMonitoredBy]
		_, ignored := ns.Labels[names.LabelIgnore]
		_, system := ns.Labels[names.LabelControlPlane]
		object := "namespace " + ns.Name
		switch {
		case mesh == "":
		case ignored:
			r.warn(object, fmt.Sprintf("kubectl label namespace %s %s- , or osm namespace remove %s", ns.Name, names.LabelIgnore, ns.Name),
				"it belongs to mesh %s and is to be ignored (%s): its pods get no sidecar", mesh, names.LabelIgnore)
		case system && mesh == f.MeshName:
			r.warn(object, fmt.Sprintf("kubectl label namespace %s %s- , or osm namespace remove %s", ns.Name, names.LabelControlPlane, ns.Name),
				"it belongs to mesh %s and has the label %s, by which webhooks pass it over: its pods get no sidecar", mesh, names.LabelControlPlane)
		case !slices.Contains(f.meshes(), mesh):
			r.fail(object, fmt.Sprintf("osm namespace remove %s --mesh-name %s, then osm namespace add %s", ns.Name, mesh, ns.Name),
				"it belongs to mesh %q, which does not exist", mesh)
		}
	}
}

// meshes are the names of the meshes that have a controller.
func (f *Facts) meshes() []string {
	var out []string
	for _, d := range f.Controllers {
		out = append(out, d.Labels[names.LabelMeshName])
	}
	return out
}

func sidecars(f *Facts, r *report) {
	for i := range f.Pods {
		p := &f.Pods[i]
		if injected(p) || over(p) || p.DeletionTimestamp != nil {
			continue
		}
		ns := f.namespace(p.Namespace)
		if ns == nil || ns.Labels[names.LabelMonitoredBy] != f.MeshName {
			continue
		}
		mesh := podpatch.Mesh{Name: f.MeshName, Namespace: f.Namespace}
		if podpatch.LeftAlone(p, *ns, mesh) != "" {
			continue
		}
		wants, err := podpatch.Decide(p, *ns, mesh)
		switch {
		case err != nil:
			r.fail("pod "+p.Namespace+"/"+p.Name, "correct the annotation; new pods are refused until then", "%v", err)
		case wants:
			r.fail("pod "+p.Namespace+"/"+p.Name, restart(p), "it has no sidecar, because it was made before its namespace joined the mesh or while the injector was away; calls to it fail")
		}
	}
}

func (f *Facts) namespace(name string) *podpatch.Namespace {
	for _, ns := range f.Namespaces {
		if ns.Name == name {
			return &podpatch.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
		}
	}
	return nil
}

func injected(p *corev1.Pod) bool { return p.Labels[names.LabelProxyUUID] != "" }

func over(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// restart is the command that makes a pod anew.
func restart(p *corev1.Pod) string {
	for _, o := range p.OwnerReferences {
		switch o.Kind {
		case "ReplicaSet":
			name := o.Name
			if i := strings.LastIndexByte(name, '-'); i > 0 {
				name = name[:i]
			}
			return fmt.Sprintf("kubectl rollout restart deployment %s -n %s", name, p.Namespace)
		case "StatefulSet", "DaemonSet":
			return fmt.Sprintf("kubectl rollout restart %s %s -n %s", strings.ToLower(o.Kind), o.Name, p.Namespace)
		}
	}
	return fmt.Sprintf("delete pod %s/%s and make it anew", p.Namespace, p.Name)
}

func leftOverSidecars(f *Facts, r *report) {
	for i := range f.Pods {
		p := &f.Pods[i]
		if injected(p) && !over(p) && !f.member(p.Namespace) && p.DeletionTimestamp == nil {
			r.warn("pod "+p.Namespace+"/"+p.Name, restart(p)+", or osm namespace add "+p.Namespace, "it has a sidecar, but its namespace does not belong to mesh %s (any more), so the sidecar gets no configuration", f.MeshName)
		}
	}
}

func podsReady(f *Facts, r *report) {
	for i := range f.Pods {
		p := &f.Pods[i]
		if !injected(p) || over(p) || isReady(p) || p.DeletionTimestamp != nil || f.Now.Sub(p.CreationTimestamp.Time) < startPatience {
			continue
		}
		r.warn("pod "+p.Namespace+"/"+p.Name, fmt.Sprintf("kubectl describe pod %s -n %s", p.Name, p.Namespace), "it is not ready: %s", why(p))
	}
}

func sidecarVersion(f *Facts, r *report) {
	want := f.envoyImage()
	if want == "" {
		return
	}
	for i := range f.Pods {
		p := &f.Pods[i]
		if !injected(p) || over(p) {
			continue
		}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			if c.Name == names.ContainerEnvoy && c.Image != want {
				r.warn("pod "+p.Namespace+"/"+p.Name, restart(p), "its sidecar is %s; new pods get %s", c.Image, want)
			}
		}
	}
}

// envoyImage is the image that new pods get: MeshConfig's, else the injector's own.
func (f *Facts) envoyImage() string {
	if f.MeshConfig != nil && f.MeshConfig.Spec.Sidecar.EnvoyImage != "" {
		return f.MeshConfig.Spec.Sidecar.EnvoyImage
	}
	for _, d := range f.Deployments {
		if d.Name != names.Injector {
			continue
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, e := range c.Env {
				if e.Name == names.EnvEnvoyImage {
					return e.Value
				}
			}
		}
	}
	return ""
}

func proxiesConnected(f *Facts, r *report) {
	if f.ProxiesUnknown != "" {
		r.warn("controller", "see control-plane-ready; you also need the right to forward ports of pods in namespace "+f.Namespace, "which sidecars are connected is not known: %s", f.ProxiesUnknown)
		return
	}
	for i := range f.Pods {
		p := &f.Pods[i]
		if !injected(p) || over(p) || !isReady(p) || !f.member(p.Namespace) || p.DeletionTimestamp != nil {
			continue
		}
		if !slices.ContainsFunc(f.Proxies, func(x adminapi.Proxy) bool { return x.Namespace == p.Namespace && x.Pod == p.Name }) {
			r.fail("pod "+p.Namespace+"/"+p.Name, fmt.Sprintf("kubectl logs %s -n %s -c %s; a network policy may keep it from %s:%d", p.Name, p.Namespace, names.ContainerEnvoy, names.Controller, names.PortADS),
				"its sidecar is not connected to the control plane: it keeps what it has and learns of no change")
		}
	}
}

func proxiesCurrent(f *Facts, r *report) {
	for _, p := range f.Proxies {
		if p.Acked < p.Generation && len(p.Rejections) == 0 {
			r.warn("pod "+p.Namespace+"/"+p.Pod, "look again in a moment; if it stays, see the sidecar's log", "its sidecar has acknowledged generation %d of %d", p.Acked, p.Generation)
		}
	}
}

func proxiesAccept(f *Facts, r *report) {
	for _, p := range f.Proxies {
		for _, x := range p.Rejections {
			r.fail("pod "+p.Namespace+"/"+p.Pod, "see policies-accepted for the object that caused it", "its sidecar refuses %s: %s", x.Name, x.Message)
		}
	}
}

func policiesValid(f *Facts, r *report) {
	for _, x := range f.Findings {
		level := Error
		if x.Severity == snapshot.Warning {
			level = Warning
		}
		r.add(level, x.Object.String(), fmt.Sprintf("correct it: kubectl edit %s %s -n %s", strings.ToLower(x.Object.Kind), x.Object.Name, x.Object.Namespace), "%s: %s", x.Reason, x.Message)
	}
}

func policiesAccepted(f *Facts, r *report) {
	for _, c := range f.Refused {
		r.fail(c.Object.String(), fmt.Sprintf("correct it: kubectl edit %s %s -n %s", strings.ToLower(c.Object.Kind), c.Object.Name, c.Object.Namespace), "%s", c.Message)
	}
}
