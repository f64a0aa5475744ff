package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/describe"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
)

// targetDescription is a TrafficTarget, what comes of it, and how far the proxies are that it is about.
type targetDescription struct {
	describe.Target
	// Proxies are those of the callers and of the called; none for manifests.
	Proxies []targetProxy `json:"proxies,omitempty"`
	// NotAsked is why the controller could not say how far they are.
	NotAsked string `json:"notAsked,omitempty"`
	// Findings are about the TrafficTarget and about the routes it names.
	Findings []string `json:"findings,omitempty"`
}

// targetProxy is how far one proxy is.
type targetProxy struct {
	Pod string `json:"pod"`
	// State is SYNCED, STALE, REJECTED, BUSY or NOT CONNECTED.
	State string `json:"state"`
}

func (a *app) describeTarget(ctx context.Context, mesh *meshView, o describeOptions, name podName) error {
	target := describe.TargetNamed(mesh.snap, name.namespace, name.name)
	if target == nil {
		return fmt.Errorf("TrafficTarget %s does not exist, or cannot be used (osm analyze says why); list them with: kubectl get traffictargets -n %s",
			name, name.namespace)
	}
	d := targetDescription{Target: describe.OfTarget(mesh.view.Planner(), target), Findings: targetFindings(mesh, target)}
	if len(o.files) == 0 {
		d.Proxies, d.NotAsked = a.targetProxies(ctx, d.Target)
	}
	if written, err := o.output.write(a.Out, d); written || err != nil {
		return err
	}
	a.sayTarget(d)
	return nil
}

// targetProxies asks the controller how far the proxies are at which a TrafficTarget acts. What the TrafficTarget says is worth
// telling to somebody who may not ask, so that it cannot be asked is told and is no error.
func (a *app) targetProxies(ctx context.Context, t describe.Target) ([]targetProxy, string) {
	cluster, err := a.Connect()
	if err != nil {
		return nil, err.Error()
	}
	all, err := a.proxyStatuses(ctx, cluster)
	if err != nil {
		return nil, err.Error()
	}
	var pods []string
	for _, party := range append([]describe.Party{t.Destination}, t.Sources...) {
		pods = append(pods, party.Pods...)
	}
	var out []targetProxy
	for _, p := range all {
		if pod := p.Namespace + "/" + p.Pod; slices.Contains(pods, pod) {
			out = append(out, targetProxy{Pod: pod, State: p.overall()})
		}
	}
	return out, ""
}

// overall is the worst state of any type.
func (p proxyStatus) overall() string {
	state := "SYNCED"
	for _, name := range proxyTypes {
		switch s := p.state(name, false); s {
		case "SYNCED", "NOT SENT":
		case "REJECTED", "NOT CONNECTED", "BUSY":
			return s
		default:
			state = s
		}
	}
	if p.Acked < p.Generation {
		state = "STALE"
	}
	return state
}

func targetFindings(mesh *meshView, t *access.TrafficTarget) []string {
	var out []string
	for _, f := range mesh.findings {
		about := f.Object.Kind == traffictarget.Kind && f.Object.Name == t.Name
		about = about || slices.ContainsFunc(t.Spec.Rules, func(r access.TrafficTargetRule) bool {
			return f.Object.Kind == r.Kind && f.Object.Name == r.Name
		})
		if about && f.Object.Namespace == t.Namespace {
			out = append(out, findingText(f))
		}
	}
	return out
}

func (a *app) sayTarget(d targetDescription) {
	say(a.Out, "TrafficTarget %s\n", d.Name)
	if !d.Enforced {
		say(a.Out, "  It is not in force: permissive mode is on, every pod of the mesh may call every other.\n")
	}
	a.sayParty("opens the pods of", d.Destination)
	for _, s := range d.Sources {
		a.sayParty("to the pods of", s)
	}
	a.sayList("by rules", d.Rules)
	switch {
	case len(d.Opens) > 0:
		a.sayAnswers(d.Opens)
	case d.Enforced:
		say(a.Out, "  It opens no port.\n")
	}
	if d.NotAsked != "" {
		say(a.Out, "  proxies: not known, the controller could not be asked: %s\n", d.NotAsked)
	}
	for _, p := range d.Proxies {
		say(a.Out, "  proxy of %s: %s\n", p.Pod, p.State)
	}
	for _, f := range d.Findings {
		say(a.Out, "  ! %s\n", f)
	}
}

func (a *app) sayParty(what string, p describe.Party) {
	say(a.Out, "  %s %s (certificate %s): %s", what, p.Identity, p.Certificate, strings.Join(p.Pods, ", "))
	if len(p.Pods) == 0 {
		say(a.Out, "none has a sidecar")
	}
	if len(p.WithoutSidecar) > 0 {
		say(a.Out, "; without a sidecar, so nothing is in force there: %s", strings.Join(p.WithoutSidecar, ", "))
	}
	say(a.Out, "\n")
}
