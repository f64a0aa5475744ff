package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func root(t *testing.T, notAfter time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-365 * 24 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// mrc is a MeshRootCertificate; problem is why it is not accepted.
func mrc(name string, role configv1alpha2.MeshRootCertificateRole, state, problem string) configv1alpha2.MeshRootCertificate {
	o := configv1alpha2.MeshRootCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: name}}
	o.Spec.Role, o.Status.State = role, state
	if problem != "" {
		o.Status.Conditions = []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionFalse, Message: problem}}
	}
	return o
}

func deployment(ns, name string) appsv1.Deployment {
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name,
		Labels: map[string]string{"app": name, "meshName": "osm", "app.kubernetes.io/version": "v1.3.0"}},
		Spec:   appsv1.DeploymentSpec{Replicas: ptr.To[int32](1)},
		Status: appsv1.DeploymentStatus{ReadyReplicas: 1}}
	if name == "osm-injector" {
		d.Spec.Template.Spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{{Name: "OSM_DEFAULT_ENVOY_IMAGE", Value: "envoy:2"}}}}
	}
	return d
}

// pod is a ready pod with a sidecar.
func pod(ns, name string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"osm-proxy-uuid": name},
			CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
			OwnerReferences:   []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "cart-5d9c7b6f8d"}}},
		Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "envoy", Image: "envoy:2"}}, Containers: []corev1.Container{{Name: "app"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func namespace(name string) corev1.Namespace {
	return corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
		Labels:      map[string]string{"openservicemesh.io/monitored-by": "osm"},
		Annotations: map[string]string{"openservicemesh.io/sidecar-injection": "enabled"}}}
}

// healthy is a mesh in which nothing is wrong.
func healthy(t *testing.T) *Facts {
	t.Helper()
	ca := root(t, now.Add(10*365*24*time.Hour))
	controller := deployment("osm-system", "osm-controller")
	client := func(service string) admissionregv1.WebhookClientConfig {
		return admissionregv1.WebhookClientConfig{CABundle: ca, Service: &admissionregv1.ServiceReference{Namespace: "osm-system", Name: service}}
	}
	return &Facts{
		Now: now, MeshName: "osm", Namespace: "osm-system", Server: "v1.30.2", CA: ca,
		Nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{
			NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", KernelVersion: "6.1.0-26-amd64"}}}},
		Namespaces:  []corev1.Namespace{namespace("shop"), {ObjectMeta: metav1.ObjectMeta{Name: "osm-system"}}, {ObjectMeta: metav1.ObjectMeta{Name: "other"}}},
		Pods:        []corev1.Pod{pod("shop", "cart-0")},
		Controllers: []appsv1.Deployment{controller},
		Deployments: []appsv1.Deployment{controller, deployment("osm-system", "osm-injector"), deployment("osm-system", "osm-bootstrap")},
		Ready:       map[string]int{"osm-injector": 1, "osm-validator": 1},
		Definitions: []Definition{{Name: "egresses.policy.openservicemesh.io", Established: true, Served: []string{"v1alpha1"}, Wanted: []string{"v1alpha1"}}},
		Mutating: []admissionregv1.MutatingWebhookConfiguration{{ObjectMeta: metav1.ObjectMeta{Name: "osm-webhook-osm"},
			Webhooks: []admissionregv1.MutatingWebhook{{ClientConfig: client("osm-injector")}}}},
		Validating: []admissionregv1.ValidatingWebhookConfiguration{{ObjectMeta: metav1.ObjectMeta{Name: "osm-validator-mesh-osm"},
			Webhooks: []admissionregv1.ValidatingWebhook{{ClientConfig: client("osm-validator")}}}},
		MeshConfig: &configv1alpha2.MeshConfig{},
		Proxies:    []adminapi.Proxy{{Namespace: "shop", Pod: "cart-0", Generation: 3, Acked: 3}},
	}
}

func TestHealthy(t *testing.T) {
	for _, before := range []bool{true, false} {
		f := healthy(t)
		if f.Before = before; before {
			f.Controllers = nil
		}
		for _, r := range Run(f) {
			require.Equal(t, OK, r.Level, "%+v", r)
		}
	}
}

// trust changes the mesh's root everywhere.
func trust(f *Facts, ca []byte) {
	f.CA = ca
	f.Mutating[0].Webhooks[0].ClientConfig.CABundle = ca
	f.Validating[0].Webhooks[0].ClientConfig.CABundle = ca
}

type broken struct {
	// id and level are of the result that names the cause; says is in its object, message or cure.
	id     string
	level  Level
	says   []string
	spoil  func(*testing.T, *Facts)
	before bool
}

// situations are the rows of the first table of docs/guides/check.md.
var situations = map[string]broken{
	"the cluster is too old": {"kubernetes-version", Error, []string{"1.22.9", "upgrade the cluster"}, func(_ *testing.T, f *Facts) { f.Server = "v1.21.4" }, true},
	"a node's kernel is too old": {"node-kernel", Error, []string{"node n", "osm-init"}, func(_ *testing.T, f *Facts) {
		f.Nodes[0].Status.NodeInfo.KernelVersion = "3.10.0-1160.el7.x86_64"
	}, true},
	"pod security refuses the init container": {"pod-security", Error, []string{"NET_ADMIN", "=privileged"}, func(_ *testing.T, f *Facts) {
		f.Namespaces[0].Labels[podSecurityLabel] = "restricted"
	}, false},
	"Istio injects into a namespace of the mesh": {"other-mesh", Error, []string{"Istio", "osm namespace remove shop"}, func(_ *testing.T, f *Facts) {
		f.Namespaces[0].Labels["istio-injection"] = "enabled"
	}, false},
	"Linkerd injects into a namespace of the mesh": {"other-mesh", Error, []string{"Linkerd"}, func(_ *testing.T, f *Facts) {
		f.Namespaces[0].Annotations["linkerd.io/inject"] = "enabled"
	}, false},
	"rights to install are missing": {"rights", Error, []string{"may not create clusterroles", "cluster-admin"}, func(_ *testing.T, f *Facts) {
		f.Controllers, f.MissingRights = nil, []string{"clusterroles.rbac.authorization.k8s.io"}
	}, true},
	"another mesh wants to be the only one": {"single-mesh", Error, []string{"the only one", "osm uninstall mesh --mesh-name one --osm-namespace elsewhere"}, func(_ *testing.T, f *Facts) {
		f.Controllers[0].Namespace, f.Controllers[0].Labels = "elsewhere", map[string]string{"meshName": "one", "enforceSingleMesh": "true"}
	}, true},
	"the namespace is taken": {"single-mesh", Error, []string{"osm mesh upgrade"}, func(*testing.T, *Facts) {}, true},
	"the injector is not ready": {"control-plane-ready", Error, []string{"osm-injector", "0 of 1", "ImagePullBackOff", "kubectl logs"}, func(_ *testing.T, f *Facts) {
		f.Deployments[1].Status.ReadyReplicas = 0
		p := pod("osm-system", "osm-injector-x")
		p.Labels = map[string]string{"app": "osm-injector"}
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "osm-injector",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}}
		f.Pods = append(f.Pods, p)
	}, false},
	"one of two controllers is not ready": {"control-plane-ready", Warning, []string{"1 of 2"}, func(_ *testing.T, f *Facts) {
		f.Deployments[0].Spec.Replicas = ptr.To[int32](2)
	}, false},
	"the controller was deleted": {"control-plane-ready", Error, []string{"osm-controller", "does not exist", "osm mesh upgrade"}, func(_ *testing.T, f *Facts) {
		f.Deployments = f.Deployments[1:]
	}, false},
	"the injector is scaled to nothing": {"control-plane-ready", Error, []string{"scaled to 0", "--replicas=1"}, func(_ *testing.T, f *Facts) {
		f.Deployments[1].Spec.Replicas, f.Deployments[1].Status.ReadyReplicas = ptr.To[int32](0), 0
	}, false},
	"an upgrade stopped half way": {"same-version", Error, []string{"osm-injector is v1.2.4", "osm mesh upgrade"}, func(_ *testing.T, f *Facts) {
		f.Deployments[1].Labels["app.kubernetes.io/version"] = "v1.2.4"
	}, false},
	"a definition is missing": {"definitions", Error, []string{"egresses.policy.openservicemesh.io", "osm-bootstrap"}, func(_ *testing.T, f *Facts) {
		f.Definitions[0].Served, f.Definitions[0].Established = nil, false
	}, false},
	"a definition serves another version": {"definitions", Error, []string{"v1alpha1 is not served"}, func(_ *testing.T, f *Facts) {
		f.Definitions[0].Served = []string{"v1beta1"}
	}, false},
	"a definition is not established": {"definitions", Error, []string{"not established"}, func(_ *testing.T, f *Facts) { f.Definitions[0].Established = false }, false},
	"MeshConfig was deleted":          {"mesh-config", Error, []string{"osm-mesh-config", "osm-bootstrap"}, func(_ *testing.T, f *Facts) { f.MeshConfig = nil }, false},
	"the root certificate has expired": {"root-certificate", Error, []string{"ended on 2026-11-22", "trust nobody"}, func(t *testing.T, f *Facts) {
		trust(f, root(t, now.Add(-24*time.Hour)))
	}, false},
	"the root certificate expires soon": {"root-certificate", Warning, []string{"in 10 days"}, func(t *testing.T, f *Facts) {
		trust(f, root(t, now.Add(10*24*time.Hour)))
	}, false},
	"a change of root stopped half way": {"root-certificate", Warning, []string{"a and b are in use", "osm alpha certificate rotate"}, func(_ *testing.T, f *Facts) {
		f.Roots = []configv1alpha2.MeshRootCertificate{mrc("a", configv1alpha2.RoleActive, configv1alpha2.RootActive, ""), mrc("b", configv1alpha2.RolePassive, configv1alpha2.RootPassive, "")}
	}, false},
	"a MeshRootCertificate cannot be used": {"root-certificate", Warning, []string{"meshrootcertificate osm-system/b", "no key"}, func(_ *testing.T, f *Facts) {
		f.Roots = []configv1alpha2.MeshRootCertificate{mrc("a", configv1alpha2.RoleActive, configv1alpha2.RootActive, ""), mrc("b", configv1alpha2.RoleInactive, configv1alpha2.RootError, "no key")}
	}, false},
	"the Secret of the root that issues is gone": {"root-certificate", Error, []string{"in memory alone", "before the control plane restarts"}, func(_ *testing.T, f *Facts) {
		f.Roots = []configv1alpha2.MeshRootCertificate{mrc("a", configv1alpha2.RoleActive, configv1alpha2.RootActive, "it is gone")}
	}, false},
	"no certificates are issued": {"certificates-issued", Error, []string{"pod osm-system/osm-controller-x", "since 2026-11-23T12:00:00Z: closed", "certificates.md"}, func(_ *testing.T, f *Facts) {
		f.Outages = []Outage{{"osm-controller-x", adminapi.Outage{Since: now, Error: "closed"}}}
	}, false},
	"the root certificate's Secret is not one": {"root-certificate", Error, []string{"holds no certificate", "backup"}, func(_ *testing.T, f *Facts) { f.CA = []byte("x") }, false},
	"the injector's webhook was deleted":       {"injection-webhook", Error, []string{"new pods get no sidecar", "osm-injector"}, func(_ *testing.T, f *Facts) { f.Mutating = nil }, false},
	"nobody answers the injector's webhook": {"injection-webhook", Error, []string{"osm-system/osm-injector", "pods cannot be created"}, func(_ *testing.T, f *Facts) {
		f.Ready["osm-injector"] = 0
	}, false},
	"the injector's webhook trusts another root": {"injection-webhook", Error, []string{"caBundle", "rollout restart"}, func(t *testing.T, f *Facts) {
		f.Mutating[0].Webhooks[0].ClientConfig.CABundle = root(t, now.Add(time.Hour))
	}, false},
	"the injector's webhook may be skipped": {"injection-webhook", Warning, []string{"Ignore", "Fail"}, func(_ *testing.T, f *Facts) {
		f.Mutating[0].Webhooks[0].FailurePolicy = ptr.To(admissionregv1.Ignore)
	}, false},
	"nobody answers the validator's webhook": {"validation-webhook", Error, []string{"policies cannot be written"}, func(_ *testing.T, f *Facts) { f.Ready["osm-validator"] = 0 }, false},
	"the validator's webhook was deleted":    {"validation-webhook", Warning, []string{"osm-controller"}, func(_ *testing.T, f *Facts) { f.Validating = nil }, false},
	"a namespace is in the mesh and ignored": {"namespace-labels", Warning, []string{"namespace shop", "ignore"}, func(_ *testing.T, f *Facts) { f.Namespaces[0].Labels["openservicemesh.io/ignore"] = "true" }, false},
	"a namespace belongs to a mesh that is gone": {"namespace-labels", Error, []string{`"old"`, "osm namespace add other"}, func(_ *testing.T, f *Facts) {
		f.Namespaces[2].Labels = map[string]string{"openservicemesh.io/monitored-by": "old"}
	}, false},
	"a pod has no sidecar": {"sidecars", Error, []string{"pod shop/cart-1", "kubectl rollout restart deployment cart -n shop"}, func(_ *testing.T, f *Facts) {
		p := pod("shop", "cart-1")
		p.Labels = nil
		f.Pods = append(f.Pods, p)
	}, false},
	"a pod's injection annotation is a typing error": {"sidecars", Error, []string{"Invalid annotation value", "enabeld"}, func(_ *testing.T, f *Facts) {
		p := pod("shop", "cart-1")
		p.Labels, p.Annotations = nil, map[string]string{"openservicemesh.io/sidecar-injection": "enabeld"}
		f.Pods = append(f.Pods, p)
	}, false},
	"a namespace left the mesh and its pods did not": {"left-over-sidecars", Warning, []string{"pod other/cart-1", "osm namespace add other"}, func(_ *testing.T, f *Facts) {
		f.Pods = append(f.Pods, pod("other", "cart-1"))
	}, false},
	"an application in the mesh does not start": {"pods-ready", Warning, []string{"container app: CrashLoopBackOff", "kubectl describe pod cart-0"}, func(_ *testing.T, f *Facts) {
		f.Pods[0].Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "app",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}
	}, false},
	"a sidecar is of an older version": {"sidecar-version", Warning, []string{"envoy:1", "envoy:2", "rollout restart"}, func(_ *testing.T, f *Facts) {
		f.Pods[0].Spec.InitContainers[0].Image = "envoy:1"
	}, false},
	"exclusions changed since a pod was started": {"redirection-current", Warning, []string{"outboundPorts was [80] and is [80,443]", "interfaces was empty and is [\"net1\"]", "rollout restart"}, func(_ *testing.T, f *Facts) {
		f.Pods[0].Annotations = map[string]string{names.AnnotationOutPorts: "443,80"}
		f.Pods[0].Spec.InitContainers = append(f.Pods[0].Spec.InitContainers, corev1.Container{Name: names.ContainerInit,
			Env: []corev1.EnvVar{{Name: capture.EnvConfig, Value: `{"outboundPorts":[80],"sidecarPorts":[15010]}`}}})
		f.MeshConfig.Spec.Traffic.NetworkInterfaceExclusionList = []string{"net1"}
	}, false},
	"an exclusion is no port": {"redirection-current", Error, []string{"x", "new pods are refused"}, func(_ *testing.T, f *Facts) {
		f.Pods[0].Annotations = map[string]string{names.AnnotationOutPorts: "x"}
		f.Pods[0].Spec.InitContainers = append(f.Pods[0].Spec.InitContainers, corev1.Container{Name: names.ContainerInit,
			Env: []corev1.EnvVar{{Name: capture.EnvConfig, Value: `{}`}}})
	}, false},
	"a sidecar cannot reach the controller": {"proxies-connected", Error, []string{"learns of no change", "network policy"}, func(_ *testing.T, f *Facts) { f.Proxies = nil }, false},
	"ports of the control plane may not be forwarded": {"proxies-connected", Warning, []string{"forbidden", "right to forward ports"}, func(_ *testing.T, f *Facts) {
		f.ProxiesUnknown = "pods is forbidden"
	}, false},
	"a sidecar lags behind": {"proxies-current", Warning, []string{"2 of 3"}, func(_ *testing.T, f *Facts) { f.Proxies[0].Acked = 2 }, false},
	"a sidecar refuses its configuration": {"proxies-accept", Error, []string{"outbound-listener", "bad regex"}, func(_ *testing.T, f *Facts) {
		f.Proxies[0].Rejections = []adminapi.Rejection{{Name: "outbound-listener", Message: "bad regex"}}
	}, false},
	"a policy is not in force": {"policies-valid", Error, []string{"TrafficTarget shop/t", "RouteGroupNotFound", "kubectl edit traffictarget t -n shop"}, func(_ *testing.T, f *Facts) {
		f.Findings = []snapshot.Finding{{Object: snapshot.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "t"}, Severity: snapshot.Error, Reason: "RouteGroupNotFound", Message: "x"}}
	}, false},
	"a policy is in force otherwise than meant": {"policies-valid", Warning, []string{"TrafficSplit shop/s"}, func(_ *testing.T, f *Facts) {
		f.Findings = []snapshot.Finding{{Object: snapshot.ObjectRef{Kind: "TrafficSplit", Namespace: "shop", Name: "s"}, Severity: snapshot.Warning, Reason: "Shadowed", Message: "x"}}
	}, false},
	"a sidecar refuses what a policy says": {"policies-accepted", Error, []string{"HTTPRouteGroup shop/g", "too complex"}, func(_ *testing.T, f *Facts) {
		f.Refused = []Condition{{Object: snapshot.ObjectRef{Kind: "HTTPRouteGroup", Namespace: "shop", Name: "g"}, Message: "too complex"}}
	}, false},
}

// Each broken mesh is told by the check that is about it, with its cause and a cure.
func TestBrokenMeshes(t *testing.T) {
	require.GreaterOrEqual(t, len(situations), 30)
	for name, b := range situations {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			f.Before = b.before
			b.spoil(t, f)
			results := Run(f)
			i := slices.IndexFunc(results, func(r Result) bool { return r.ID == b.id && r.Level != OK })
			require.GreaterOrEqual(t, i, 0, "%+v", results)
			require.Equal(t, b.level, results[i].Level, "%+v", results[i])
			require.NotEmpty(t, results[i].Cure)
			for _, s := range b.says {
				require.Contains(t, results[i].Object+"\n"+results[i].Message+"\n"+results[i].Cure, s)
			}
			require.Equal(t, b.level == Error, Worst(results) == Error)
		})
	}
}

// Pods that nobody should worry about are left alone.
func TestNoFalseAlarms(t *testing.T) {
	quiet := func(change func(*corev1.Pod)) corev1.Pod {
		p := pod("shop", "quiet")
		p.Labels = nil
		change(&p)
		return p
	}
	f := healthy(t)
	f.Pods = append(f.Pods,
		quiet(func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
		quiet(func(p *corev1.Pod) {
			p.Annotations = map[string]string{"openservicemesh.io/sidecar-injection": "disabled"}
		}),
		quiet(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		quiet(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }),
		quiet(func(p *corev1.Pod) { p.Namespace = "other" }),
		quiet(func(p *corev1.Pod) { // just made
			p.Labels = map[string]string{"osm-proxy-uuid": "x"}
			p.CreationTimestamp, p.Status.Conditions = metav1.NewTime(now.Add(-time.Second)), nil
		}))
	for _, r := range Run(f) {
		require.Equal(t, OK, r.Level, "%+v", r)
	}
}

// Every check has a section of its own in the guide, and every situation a row there.
func TestGuideIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../../docs/guides/check.md")
	require.NoError(t, err)
	guide := string(text)
	seen := map[string]bool{}
	for _, c := range All() {
		require.Contains(t, guide, "\n### "+c.ID+"\n")
		require.False(t, seen[c.ID], c.ID)
		seen[c.ID] = true
		shown := slices.Collect(maps.Values(situations))
		require.True(t, slices.ContainsFunc(shown, func(b broken) bool { return b.id == c.ID }), "%s: no situation shows it", c.ID)
	}
	for name, b := range situations {
		require.Contains(t, guide, "| "+name+" | `"+b.id+"` | "+strings.ToUpper(string(b.level[:1]))+string(b.level[1:])+" |")
	}
	require.Equal(t, len(situations), strings.Count(guide, "` | Error |")+strings.Count(guide, "` | Warning |"), "rows of the guide that no test shows")
}
