package inject

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/webhook/server"
)

// maxWarning is how much of one warning the API server passes on to the user.
const maxWarning = 256

// State is what an injection needs to know of the cluster.
type State interface {
	// Namespace returns the namespace as last seen; false when it is not (or not yet) one of the mesh's.
	Namespace(name string) (podpatch.Namespace, bool)
	// FreshNamespace asks the API server.
	FreshNamespace(ctx context.Context, name string) (podpatch.Namespace, error)
	// Settings are the mesh's settings now.
	Settings() podpatch.Settings
}

// Injector answers admission requests for pods.
type Injector struct {
	State State
	Log   *slog.Logger

	bootstraps bootstrap.Memory
}

// Review is a server.ReviewFunc.
func (i *Injector) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if req.Resource.Resource != "pods" || req.Operation != admissionv1.Create || req.SubResource != "" {
		return server.Allow()
	}
	var pod corev1.Pod
	if err := json.Unmarshal(req.Object.Raw, &pod); err != nil {
		return i.deny(req, errcode.Errorf(errcode.DecodingAdmissionRequest, "read the pod: %w", err))
	}
	settings := i.State.Settings()
	ns, yes, err := i.decide(ctx, &pod, req.Namespace, settings.Mesh)
	if err != nil {
		return i.deny(req, err)
	}
	if reason := podpatch.LeftAlone(&pod, ns, settings.Mesh); reason != "" {
		i.Log.Warn("pod left alone", "namespace", req.Namespace, "pod", nameOf(&pod), "reason", reason)
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: shorten([]string{reason})}
	}
	if !yes {
		return server.Allow()
	}
	id := uuid.NewString()
	out, err := podpatch.Inject(&pod, ns, settings, &i.bootstraps, id)
	if err != nil {
		return i.deny(req, errcode.Errorf(errcode.CheckingPodInjection, "%w", err))
	}
	patch, err := json.Marshal(out.Patch)
	if err != nil {
		return i.deny(req, errcode.Errorf(errcode.WritingAdmissionResponse, "write the patch: %w", err))
	}
	i.Log.Debug("sidecar injected", "namespace", req.Namespace, "pod", nameOf(&pod), "proxy_uuid", id)
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: patch, PatchType: &kind, Warnings: shorten(out.Warnings)}
}

// decide asks the API server itself when what was last seen of the namespace says no. The API server calls this webhook
// for namespaces of the mesh only, so a no may come from a namespace that joined a moment ago, and a pod without its
// sidecar would stay so.
func (i *Injector) decide(ctx context.Context, pod *corev1.Pod, namespace string, mesh podpatch.Mesh) (podpatch.Namespace, bool, error) {
	ns, known := i.State.Namespace(namespace)
	if known {
		yes, err := podpatch.Decide(pod, ns, mesh)
		if err == nil && (yes || podpatch.OptsOut(pod)) {
			return ns, yes, nil
		}
	}
	ns, err := i.State.FreshNamespace(ctx, namespace)
	if err != nil {
		return ns, false, errcode.Errorf(errcode.CheckingNamespaceInjection, "cannot read namespace %s, so whether the pod needs a sidecar is not known; try again: %w", namespace, err)
	}
	yes, err := podpatch.Decide(pod, ns, mesh)
	if err != nil {
		return ns, false, errcode.Errorf(errcode.CheckingPodInjection, "%w", err)
	}
	return ns, yes, nil
}

func (i *Injector) deny(req *admissionv1.AdmissionRequest, err error) *admissionv1.AdmissionResponse {
	i.Log.Warn("pod refused", "namespace", req.Namespace, "pod", req.Name, "error", err, "error_code", errcode.Of(err))
	return server.Deny(err)
}

// nameOf falls back to what the API server will make a name of.
func nameOf(pod *corev1.Pod) string {
	if pod.Name == "" {
		return pod.GenerateName + "*"
	}
	return pod.Name
}

func shorten(ws []string) []string {
	out := make([]string, len(ws))
	for i, w := range ws {
		if len(w) > maxWarning {
			w = fmt.Sprintf("%.*s…", maxWarning-3, w)
		}
		out[i] = w
	}
	return out
}
