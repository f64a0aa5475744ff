package check

import (
	"cmp"
	"fmt"
	"slices"
)

// Level is how bad a result is.
type Level string

// The levels. An Error keeps the mesh, or a part of it, from working; a Warning will, or may.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Result is what one check found about one object.
type Result struct {
	// ID never changes and is the heading of the check's section in docs/guides/check.md.
	ID    string `json:"id"`
	Area  Area   `json:"area"`
	Level Level  `json:"level"`
	// Object is what it is about, for example "pod shop/cart-0"; empty when everything is well.
	Object string `json:"object,omitempty"`
	// Message says what is, Cure what to do.
	Message string `json:"message"`
	Cure    string `json:"cure,omitempty"`
}

// Area groups checks.
type Area string

// The areas, in the order they are looked at.
const (
	Cluster      Area = "cluster"
	ControlPlane Area = "control plane"
	DataPlane    Area = "data plane"
	Policies     Area = "policies"
)

// Check is one thing looked at.
type Check struct {
	ID   string
	Area Area
	// About is what it looks at, in words: what a result says when all is well.
	About string
	// before and after say when it is looked at.
	before, after bool
	run           func(*Facts, *report)
}

// All lists every check, in order.
func All() []Check {
	return []Check{
		{"kubernetes-version", Cluster, "the Kubernetes version is supported", true, true, kubernetesVersion},
		{"node-kernel", Cluster, "the kernel of every node can redirect traffic", true, true, nodeKernel},
		{"pod-security", Cluster, "pod security admits the sidecar's init container", true, true, podSecurity},
		{"other-mesh", Cluster, "no other kind of mesh injects into the same namespaces", true, true, otherMesh},
		{"rights", Cluster, "you have the rights to install", true, false, rights},
		{"single-mesh", Cluster, "no existing mesh stands in the way", true, false, singleMesh},
		{"control-plane-ready", ControlPlane, "every Deployment is there and ready", false, true, controlPlaneReady},
		{"same-version", ControlPlane, "all parts are of one version", false, true, sameVersion},
		{"definitions", ControlPlane, "custom resource definitions are established and serve what is needed", false, true, definitions},
		{"mesh-config", ControlPlane, "there is a MeshConfig", false, true, meshConfig},
		{"root-certificate", ControlPlane, "the root certificate is valid for a while", false, true, rootCertificate},
		{"certificates-issued", ControlPlane, "certificates are issued", false, true, certificatesIssued},
		{"injection-webhook", ControlPlane, "new pods reach the injector", false, true, injectionWebhook},
		{"validation-webhook", ControlPlane, "new policies reach the validator", false, true, validationWebhook},
		{"namespace-labels", DataPlane, "namespaces say one thing about the mesh", false, true, namespaceLabels},
		{"sidecars", DataPlane, "every pod that should have a sidecar has one", false, true, sidecars},
		{"left-over-sidecars", DataPlane, "no pod outside of the mesh has a sidecar", false, true, leftOverSidecars},
		{"pods-ready", DataPlane, "pods with a sidecar are ready", false, true, podsReady},
		{"sidecar-version", DataPlane, "sidecars are of the version that is injected now", false, true, sidecarVersion},
		{"redirection-current", DataPlane, "pods are redirected as MeshConfig and their annotations say now", false, true, redirectionCurrent},
		{"proxies-connected", DataPlane, "every sidecar is connected to the control plane", false, true, proxiesConnected},
		{"proxies-current", DataPlane, "every sidecar has the newest configuration", false, true, proxiesCurrent},
		{"proxies-accept", DataPlane, "no sidecar refuses its configuration", false, true, proxiesAccept},
		{"policies-valid", Policies, "policies are in force as they are written", false, true, policiesValid},
		{"policies-accepted", Policies, "no sidecar refuses what a policy says", false, true, policiesAccepted},
	}
}

// Run looks at everything and returns a result for each check that is well, and for each object that is not.
func Run(f *Facts) []Result {
	var out []Result
	for _, c := range All() {
		if f.Before && !c.before || !f.Before && !c.after {
			continue
		}
		r := &report{check: c}
		c.run(f, r)
		if len(r.results) == 0 {
			r.results = []Result{{ID: c.ID, Area: c.Area, Level: OK, Message: c.About}}
		}
		slices.SortStableFunc(r.results, func(a, b Result) int { return cmp.Compare(a.Object, b.Object) })
		out = append(out, r.results...)
	}
	return out
}

// Worst is the worst level among results.
func Worst(list []Result) Level {
	worst := OK
	for _, r := range list {
		if r.Level == Error || r.Level == Warning && worst == OK {
			worst = r.Level
		}
	}
	return worst
}

// report collects what one check finds.
type report struct {
	check   Check
	results []Result
}

func (r *report) add(l Level, object, cure, format string, args ...any) {
	r.results = append(r.results, Result{ID: r.check.ID, Area: r.check.Area, Level: l, Object: object,
		Message: fmt.Sprintf(format, args...), Cure: cure})
}

func (r *report) fail(object, cure, format string, args ...any) {
	r.add(Error, object, cure, format, args...)
}

func (r *report) warn(object, cure, format string, args ...any) {
	r.add(Warning, object, cure, format, args...)
}
