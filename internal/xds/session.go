package xds

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Every wait for something the client is expected to do but may never do is bounded. A real Envoy does both within
// milliseconds; a client that never does delays its own pushes by this much and nobody else's.
const (
	// warmLimit bounds the wait for endpoints and secrets of a cluster, from its acceptance to their acknowledgement.
	warmLimit = 2 * time.Second
	// claimLimit bounds the wait for a client to tell which listeners and routes it holds, from its first request.
	claimLimit = 10 * time.Second
)

// Bounds on what one client can make the server remember or send at once.
const (
	maxNames     = 20000   // subscribed names of one type
	maxNameLen   = 512     // bytes of one name
	maxMessage   = 4096    // bytes kept of a client's error message
	batchCount   = 1000    // resources in one response
	batchBytes   = 1 << 20 // encoded bytes of resources in one response
	wildcardName = "*"
)

// Errors of Session.Handle. ErrTooMany ends the stream; ErrUnknownType leaves the session as it was.
var (
	ErrUnknownType = errors.New("resource type is not served")
	ErrTooMany     = errors.New("too many or too long resource names")
)

// Desired is what one proxy shall hold.
type Desired struct {
	// Generation becomes system_version_info.
	Generation uint64
	// Config holds clusters, listeners, routes and validation secrets; nil means none.
	Config *envoy.Resources
	// Endpoints returns the load assignment of a cluster, nil when it knows none. It is asked only for clusters in
	// Config, or ones which this session has handed out and not yet taken back.
	Endpoints func(cluster string) *envoy.Resource
}

// Rejection is one resource version that a client refused. The client keeps the version it had before.
type Rejection struct {
	Type    envoy.TypeURL `json:"type"`
	Name    string        `json:"name"`
	Version string        `json:"version"`
	// Message is the client's own error text.
	Message string `json:"message"`
}

// Outcome is what a client said about one response.
type Outcome struct {
	Type envoy.TypeURL
	// Took is the time from sending to the answer.
	Took time.Duration
	// Resources is the number of resources added or changed by the response.
	Resources int
	// Refused is the client's error message; empty when it accepted.
	Refused string
}

// Session is the state machine of one stream: what the client subscribed, what it holds for certain, what it may
// hold, and what is owed to it. One goroutine at a time drives it; every call is given the time.
//
// Versions on the wire are the resources' own, except that an endpoint's version is followed by "." and the version
// of the cluster it was sent for. Envoy warms a changed cluster only when the endpoints are sent once more, and does
// not ask for that; with the pair as version this holds across reconnects and across controllers without any memory.
type Session struct {
	want     Desired
	certName string
	cert     *envoy.Resource
	lanes    [5]lane
	started  time.Time // of the first request
	nonce    uint64
	deadline time.Time
	cleared  uint64 // names found to need nothing, parts of refused responses taken up
	refusals bool   // the client has ever refused anything
	// cold are the accepted clusters and listeners which wait to be complete, and perhaps some which no longer do.
	cold []*entry
	// warmBy is the earliest end of such a wait; warmed tells that some may have ended since it was looked at.
	warmBy time.Time
	warmed bool
}

// NewSession starts a stream's state. certName is the one secret name for which the certificate given to
// SetCertificate is served.
func NewSession(certName string) *Session {
	s := &Session{certName: certName}
	for i, t := range envoy.Types() {
		s.lanes[i] = newLane(t)
	}
	return s
}

func (s *Session) lane(t envoy.TypeURL) *lane {
	for i := range s.lanes {
		if s.lanes[i].typ == t {
			return &s.lanes[i]
		}
	}
	return nil
}

// SetDesired replaces the configuration; what is unchanged is recognised by pointer and by version. Call
// EndpointsChanged for clusters whose endpoints changed.
func (s *Session) SetDesired(d Desired) {
	old := s.want.Config
	s.want = d
	if old == d.Config {
		return
	}
	for i := range s.lanes {
		l := &s.lanes[i]
		eachDifference(list(old, l.typ), list(d.Config, l.typ), func(name string) {
			l.touch(name)
			if l.typ == envoy.Cluster {
				s.lane(envoy.Endpoint).touch(name)
			}
		})
	}
}

// EndpointsChanged says that Desired.Endpoints may answer differently for these clusters.
func (s *Session) EndpointsChanged(clusters []string) {
	for _, c := range clusters {
		s.lane(envoy.Endpoint).touch(c)
	}
}

// CertificateNeeded reports whether the client waits for its workload certificate, and which version it says it
// already holds ("" for none).
func (s *Session) CertificateNeeded() (held string, needed bool) {
	e, _ := s.lane(envoy.Secret).look(s.certName)
	if !e.named {
		return "", false
	}
	if e.cur != nil {
		held = e.cur.Version
	}
	switch {
	case s.cert == nil:
		return held, true
	case !s.cert.Known(): // accepted on the client's word; it has forgotten it since
		return "", e.cur == nil
	}
	return held, false
}

// SetCertificate gives the secret to serve as the workload certificate.
func (s *Session) SetCertificate(res *envoy.Resource) {
	s.cert = res
	s.lane(envoy.Secret).touch(s.certName)
}

// AcceptCertificate takes the version which the client says it holds as good, so that it is not sent again.
func (s *Session) AcceptCertificate() {
	if e, _ := s.lane(envoy.Secret).look(s.certName); e.cur != nil {
		s.cert = e.cur
		s.lane(envoy.Secret).touch(s.certName)
	}
}

// Handle takes in one request. The outcome is nil unless the request answers the response in flight.
func (s *Session) Handle(now time.Time, req *Request) (*Outcome, error) {
	l := s.lane(req.Type)
	if l == nil {
		return nil, fmt.Errorf("%w: %.100q", ErrUnknownType, string(req.Type))
	}
	if s.started.IsZero() {
		s.started = now
	}
	out := s.answered(now, l, req)
	first := !l.subscribed
	l.subscribed = true
	for _, name := range req.Unsubscribe {
		l.unsubscribe(name)
		s.warmed = true // perhaps nobody waits for it any more
	}
	subscribe := req.Subscribe
	if first && len(subscribe) == 0 && l.wildcardType() {
		subscribe = []string{wildcardName} // the form that older clients use
	}
	if l.len()+len(subscribe) <= maxNames {
		l.expect(len(subscribe))
	}
	for _, name := range subscribe {
		if err := s.subscribe(l, name); err != nil {
			return out, err
		}
	}
	if first {
		s.claim(now, l, req.Claims)
	}
	return out, nil
}

func (s *Session) subscribe(l *lane, name string) error {
	if name == wildcardName {
		if !l.wildcardType() {
			return nil
		}
		l.wildcard, l.answer = true, true
		for _, res := range list(s.want.Config, l.typ) {
			l.touch(res.Name)
		}
		return nil
	}
	if len(name) > maxNameLen || l.len() >= maxNames {
		return ErrTooMany
	}
	l.subscribe(s.own(l.typ, name))
	return nil
}

// own is a name as it can be kept: as the configuration has it, or a copy. The client's is a part of its whole request.
func (s *Session) own(t envoy.TypeURL, name string) string {
	if t == envoy.Endpoint {
		t = envoy.Cluster
	}
	if res := get(s.want.Config, t, name); res != nil {
		return res.Name
	}
	return strings.Clone(name)
}

// claim records what a reconnecting client says it holds.
func (s *Session) claim(now time.Time, l *lane, claims []Claim) {
	if l.wildcard && len(claims) <= maxNames {
		l.expect(len(claims))
	}
	for _, c := range claims {
		if !l.wildcard && !l.has(c.Name) {
			continue
		}
		res, with := s.recognise(l.typ, c.Name, c.Version)
		e := l.entry(res.Name)
		e.cur, e.with = res, with
		l.touch(res.Name)
		s.watchWarmth(now, e, len(claims))
		s.warmed = true // what is claimed is delivered: clusters claimed before may be complete
	}
}

// recognise finds the resource a client means; one whose content is not known here is not Known and has unknown Refs.
func (s *Session) recognise(t envoy.TypeURL, name, version string) (res *envoy.Resource, with string) {
	if t == envoy.Endpoint {
		version, with = splitWire(version)
		cluster := get(s.want.Config, envoy.Cluster, name)
		if cluster != nil && cluster.Version == with {
			with = cluster.Version
		} else {
			with = strings.Clone(with)
		}
		if cluster != nil {
			res = s.endpoints(cluster.Name)
		}
	} else {
		res = get(s.want.Config, t, name)
	}
	if res != nil && res.Version == version {
		return res, with
	}
	return &envoy.Resource{Type: t, Name: s.own(t, name), Version: strings.Clone(version)}, with
}

// endpoints never returns nil for a cluster of the configuration: without an answer Envoy would keep it warming.
func (s *Session) endpoints(cluster string) *envoy.Resource {
	if s.want.Endpoints != nil {
		if res := s.want.Endpoints(cluster); res != nil {
			return res
		}
	}
	res, err := envoy.NewResource(envoy.Endpoint, cluster, &endpointv3.ClusterLoadAssignment{ClusterName: cluster})
	if err != nil {
		return nil // a name that is not UTF-8: such a cluster cannot have been encoded either
	}
	return res
}

// Generation returns the generation the session works towards.
func (s *Session) Generation() uint64 { return s.want.Generation }

// Deadline returns when Next shall be called although nothing happened; zero means never. It is renewed by Next.
func (s *Session) Deadline() time.Time { return s.deadline }

// Unanswered returns when the oldest response still unanswered was sent; zero when there is none.
func (s *Session) Unanswered() (since time.Time) {
	for i := range s.lanes {
		if f := s.lanes[i].flight; f != nil && (since.IsZero() || f.sentAt.Before(since)) {
			since = f.sentAt
		}
	}
	return since
}

// Due is how many names may have to be sent.
func (s *Session) Due() (n int) {
	for i := range s.lanes {
		n += s.lanes[i].dirty.len()
	}
	return n
}

// Settled reports whether the client has subscribed clusters and listeners and has acknowledged all it shall hold, save
// what it refused. Call it after Next.
func (s *Session) Settled() bool {
	for i := range s.lanes {
		l := &s.lanes[i]
		if l.wildcardType() && !l.subscribed {
			return false
		}
		if l.flight != nil || len(l.suspects) > 0 || l.answer || l.owed > 0 {
			return false
		}
	}
	return len(s.cold) == 0
}

// Rejections lists what the client refuses at present, sorted by type and name.
func (s *Session) Rejections() []Rejection {
	if !s.refusals {
		return nil
	}
	var out []Rejection
	for i := range s.lanes {
		for name, e := range s.lanes[i].all() {
			if e.open != nil && e.open.refused != "" {
				out = append(out, Rejection{Type: s.lanes[i].typ, Name: name, Version: e.open.refused, Message: e.open.message})
			}
		}
	}
	slices.SortFunc(out, func(a, b Rejection) int {
		return envoy.Ref{Type: a.Type, Name: a.Name}.Compare(envoy.Ref{Type: b.Type, Name: b.Name})
	})
	return out
}

// Held returns name → version of what the client has acknowledged of one type.
func (s *Session) Held(t envoy.TypeURL) map[string]string {
	out := map[string]string{}
	if l := s.lane(t); l != nil {
		for name, e := range l.all() {
			if e.cur != nil {
				out[name] = wire(e.cur, e.with)
			}
		}
	}
	return out
}

func list(r *envoy.Resources, t envoy.TypeURL) []*envoy.Resource {
	if r == nil {
		return nil
	}
	return r.List(t)
}

func get(r *envoy.Resources, t envoy.TypeURL, name string) *envoy.Resource {
	if r == nil {
		return nil
	}
	return r.Get(t, name)
}

// eachDifference calls f with each name at which two lists sorted by name differ: in what is sent, or in when.
func eachDifference(a, b []*envoy.Resource, f func(name string)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			f(a[0].Name)
			a = a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			f(b[0].Name)
			b = b[1:]
		default:
			if a[0] != b[0] && (a[0].Version != b[0].Version || a[0].OnDemand != b[0].OnDemand) {
				f(a[0].Name)
			}
			a, b = a[1:], b[1:]
		}
	}
}
