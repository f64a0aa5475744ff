package xds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

const ownCert = "service-cert:ns/sa"

// world is a session and a client with a wire between them, on which messages wait until they are delivered.
type world struct {
	now      time.Time
	session  *Session
	client   *deltaclient.Model
	desired  Desired
	eps      map[string]*envoy.Resource
	cert     *envoy.Resource
	toClient []*discovery.DeltaDiscoveryResponse
	toServer []*discovery.DeltaDiscoveryRequest
	flying   map[string]int // responses sent and not answered, by type
	outcomes []Outcome
	sent     int
	story    []string // what happened, for a failing test to tell
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func short(t string) string { return t[strings.LastIndexByte(t, '.')+1:] }

func newWorld(config *envoy.Resources) *world {
	w := &world{now: time.Unix(1000, 0), client: deltaclient.NewModel(), eps: map[string]*envoy.Resource{}}
	w.client.Refuse, w.client.Optional = xdstest.RefuseBad, maybeOnDemand
	w.desired = Desired{Generation: 1, Config: config, Endpoints: func(c string) *envoy.Resource { return w.eps[c] }}
	w.connect()
	return w
}

func (w *world) connect() {
	w.session = NewSession(ownCert)
	w.session.SetDesired(w.desired)
	w.tell("   connect")
	w.toClient, w.flying = nil, map[string]int{}
	w.toServer = w.client.Connect()
}

func (w *world) set(list ...*envoy.Resource) {
	w.desired.Generation++
	w.desired.Config = envoy.NewResources(list)
	for _, r := range list {
		w.tell("   want %s %s@%s %v", short(string(r.Type)), r.Name, r.Version, r.Refs)
	}
	w.session.SetDesired(w.desired)
}

func (w *world) setEndpoints(res *envoy.Resource) {
	w.eps[res.Name] = res
	w.session.EndpointsChanged([]string{res.Name})
}

// push lets the session speak.
func (w *world) push() error {
	if held, needed := w.session.CertificateNeeded(); needed && w.cert != nil {
		if held == w.cert.Version {
			w.session.AcceptCertificate()
		} else {
			w.session.SetCertificate(w.cert)
		}
	}
	for _, resp := range w.session.Says(w.now) {
		w.flying[resp.GetTypeUrl()]++
		if w.flying[resp.GetTypeUrl()] > 1 {
			return fmt.Errorf("two responses of type %s in flight", resp.GetTypeUrl())
		}
		w.sent++
		line := ""
		for _, r := range resp.GetResources() {
			if resp.GetTypeUrl() == string(envoy.Cluster) && alwaysOnDemand(r.GetName()) && !w.client.Asked(r.GetName()) {
				return fmt.Errorf("cluster %s was sent, which nobody asked for", r.GetName())
			}
			line += fmt.Sprintf(" %s@%.20s", r.GetName(), r.GetVersion())
		}
		w.tell("-> %s #%s%s -%v", short(resp.GetTypeUrl()), resp.GetNonce(), line, resp.GetRemovedResources())
		w.toClient = append(w.toClient, resp)
	}
	return nil
}

// hear delivers the oldest request; answer delivers the oldest response.
func (w *world) hear() error {
	if len(w.toServer) == 0 {
		return nil
	}
	req := w.toServer[0]
	w.toServer = w.toServer[1:]
	w.tell("<- %s #%s +%v -%v has %v %s", short(req.GetTypeUrl()), req.GetResponseNonce(), req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe(), req.GetInitialResourceVersions(), req.GetErrorDetail().GetMessage())
	if req.GetResponseNonce() != "" {
		w.flying[req.GetTypeUrl()]--
	}
	out, err := w.session.Hears(w.now, req)
	if out != nil {
		w.outcomes = append(w.outcomes, *out)
	}
	return err
}

func (w *world) answer() error {
	if len(w.toClient) == 0 {
		return nil
	}
	resp := w.toClient[0]
	w.toClient = w.toClient[1:]
	w.tell("   client takes #%s", resp.GetNonce())
	reqs, err := w.client.Handle(resp)
	w.toServer = append(w.toServer, reqs...)
	return err
}

// run exchanges messages until there are none; a deadline of the session is let pass once there are none.
func (w *world) run() error {
	for range 10000 {
		if err := w.push(); err != nil {
			return err
		}
		switch d := w.session.Deadline(); {
		case len(w.toServer) > 0:
			if err := w.hear(); err != nil {
				return err
			}
		case len(w.toClient) > 0:
			if err := w.answer(); err != nil {
				return err
			}
		case !d.IsZero():
			if !d.After(w.now) {
				return fmt.Errorf("the deadline %v has passed and remains", d)
			}
			w.now = d
		default:
			return nil
		}
	}
	return fmt.Errorf("no end of messages")
}

// converged compares what the client holds with what it shall hold.
func (w *world) converged() error {
	refused := map[envoy.Ref]string{}
	for _, r := range w.session.Rejections() {
		refused[envoy.Ref{Type: r.Type, Name: r.Name}] = r.Version
	}
	for _, t := range []envoy.TypeURL{envoy.Cluster, envoy.Listener} {
		for _, res := range w.desired.Config.List(t) {
			if _, held := w.client.Held[t][res.Name]; res.OnDemand && !held && !w.client.Asked(res.Name) {
				continue
			}
			if err := w.agrees(res, w.client.Held[t][res.Name].Version, refused); err != nil {
				return err
			}
		}
		for name := range w.client.Held[t] {
			if w.desired.Config.Get(t, name) == nil && !w.needed(envoy.Ref{Type: t, Name: name}) {
				return fmt.Errorf("%s %q was not removed", t, name)
			}
		}
	}
	for _, t := range []envoy.TypeURL{envoy.Route, envoy.Secret} {
		for name, h := range w.client.Held[t] {
			if res := w.desired.Config.Get(t, name); res != nil {
				if err := w.agrees(res, h.Version, refused); err != nil {
					return err
				}
			}
		}
	}
	for name, h := range w.client.Held[envoy.Endpoint] {
		res, c := w.eps[name], w.client.Held[envoy.Cluster][name]
		if res == nil || w.desired.Config.Get(envoy.Cluster, name) == nil {
			continue
		}
		if want := res.Version + "." + c.Version; h.Version != want && refused[envoy.Ref{Type: envoy.Endpoint, Name: name}] != want {
			return fmt.Errorf("endpoints of %q are at %s, not %s", name, h.Version, want)
		}
	}
	if !w.client.Warm() {
		return fmt.Errorf("the client waits for something it subscribed")
	}
	if !w.session.Settled() {
		return fmt.Errorf("nothing is under way, yet the session is not settled")
	}
	return nil
}

func (w *world) agrees(res *envoy.Resource, version string, refused map[envoy.Ref]string) error {
	if version == res.Version || refused[envoy.Ref{Type: res.Type, Name: res.Name}] == res.Version {
		return nil
	}
	return fmt.Errorf("%s %q is at version %q, not %q", res.Type, res.Name, version, res.Version)
}

// needed reports whether something the client holds refers to ref: then a removal would break it.
func (w *world) needed(ref envoy.Ref) bool {
	if len(w.session.Rejections()) > 0 {
		for _, t := range referrers(ref.Type) {
			for _, e := range w.session.lane(t).all() {
				if e.open != nil && len(e.open.maybe) > 0 || e.cur != nil && !e.cur.Known() {
					return true // the session cannot know which older version the client has kept, and that may refer to it
				}
			}
		}
	}
	for _, byName := range w.client.Held {
		for _, h := range byName {
			if slices.Contains(h.Refs, ref) {
				return true
			}
		}
	}
	return false
}
