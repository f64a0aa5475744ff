package xds

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
)

// The ends of a stream that its client is told.
var (
	errShutdown = status.Error(codes.Unavailable, "the controller is stopping")
	errTooMany  = status.Error(codes.ResourceExhausted, "too many connections")
	errReplaced = status.Error(codes.Aborted, "the pod opened a newer stream")
	errIdentity = status.Error(codes.PermissionDenied, "the pod has another identity")
	errUnknown  = status.Error(codes.PermissionDenied, "the pod is not part of the mesh")
	errIdle     = status.Error(codes.DeadlineExceeded, "nothing was subscribed")
	errSlow     = status.Error(codes.DeadlineExceeded, "a response was not answered in time")
)

const (
	issueTimeout = 45 * time.Second // longer than certificates of a new root are held back
	issueRetry   = 2 * time.Second  // after a failure, doubled up to issueMax
	issueMax     = time.Minute
)

// mail is what the hub has to say to a connection's goroutine; later words replace or extend earlier ones, so at most
// one push is ever owed.
type mail struct {
	config     *envoy.Resources
	key        plan.Key
	generation uint64
	endpoints  []string
	unknown    bool // no view knows the pod (any more)
	reissue    bool
	end        error
	urgent     bool // the goroutine must look now
}

// conn is one stream. Its session belongs to the goroutine in run.
type conn struct {
	id    uint64
	hub   *Hub
	peer  Peer
	since time.Time
	cut   func() // closes the transport hard
	group *group // guarded by hub.mu

	wake   chan struct{}
	asks   chan func(*Session)
	issued chan issue

	mu   sync.Mutex
	mail mail
	// What the goroutine last published. While it is settled the proxy has the hub's newest generation, whatever that
	// is, so that a change which does not concern it costs it nothing; ackedGen is what it had when that ended.
	settled    bool
	ackedGen   uint64
	key        string
	rejections []Rejection

	// Of the goroutine alone.
	leave      func() // the gate it is in; nil: none
	session    *Session
	stream     deltaStream
	config     *envoy.Resources
	strangeAt  time.Time // since when no view knows the pod; zero: it is known
	subscribed bool
	issuing    bool
	failures   int
	renewAt    time.Time
}

type issue struct {
	res     *envoy.Resource
	renewAt time.Time
	err     error
}

// deltaStream is the part of the gRPC stream that is used; a *Response is sent.
type deltaStream interface {
	Context() context.Context
	SendMsg(any) error
	Recv() (*discovery.DeltaDiscoveryRequest, error)
}

func newConn(h *Hub, p Peer, stream deltaStream, cut func(), now time.Time) *conn {
	return &conn{
		hub: h, peer: p, since: now, cut: cut, stream: stream,
		wake: make(chan struct{}, 1), asks: make(chan func(*Session)), issued: make(chan issue, 1),
		session:   NewSession(names.SecretServiceCert(p.Identity)),
		strangeAt: now,
	}
}

// post changes the mail and wakes the goroutine when the change demands it. The caller holds hub.mu.
func (c *conn) post(f func(*mail)) {
	c.mu.Lock()
	f(&c.mail)
	wake := c.mail.urgent || c.mail.reissue || c.mail.end != nil
	if wake {
		c.unsettle()
	}
	c.mu.Unlock()
	if wake {
		c.hub.behind[c] = struct{}{}
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// unsettle keeps what the proxy has had so far; the caller holds mu.
func (c *conn) unsettle() {
	c.ackedGen, c.settled = c.has(), false
}

// has is the newest generation that the proxy has acknowledged in full; the caller holds mu.
func (c *conn) has() uint64 {
	if c.settled {
		return max(c.ackedGen, c.hub.generation.Load())
	}
	return c.ackedGen
}

// told is the newest generation that the stream knows all of that concerns it; the caller holds mu.
func (c *conn) told() uint64 { return max(c.mail.generation, c.hub.generation.Load()) }

func (c *conn) acked() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.has()
}

func (c *conn) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{Peer: c.peer, Key: c.key, Since: c.since, Generation: c.told(), Acked: c.has(), Rejections: c.rejections}
}

// inspect runs f on the session, in the connection's goroutine.
func (c *conn) inspect(ctx context.Context, f func(*Session)) {
	done := make(chan struct{})
	select {
	case c.asks <- func(s *Session) { f(s); close(done) }:
		<-done
	case <-ctx.Done():
	case <-c.stream.Context().Done():
	}
}

// run serves the stream until it ends. Requests are read only while the pod has a place in the view.
func (c *conn) run() error {
	ctx := c.stream.Context()
	requests := make(chan *discovery.DeltaDiscoveryRequest)
	failed := make(chan error, 1)
	go c.read(ctx, requests, failed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer c.left()
	for {
		var in <-chan *discovery.DeltaDiscoveryRequest
		if c.config != nil {
			in = requests
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case req := <-in:
			if err := c.handle(req); err != nil {
				return err
			}
		case got := <-c.issued:
			c.certified(got)
		case ask := <-c.asks:
			ask(c.session)
		case <-c.wake:
		case <-timer.C:
		}
		next, err := c.turn(ctx)
		if err != nil {
			return err
		}
		timer.Reset(next)
	}
}

func (c *conn) read(ctx context.Context, requests chan<- *discovery.DeltaDiscoveryRequest, failed chan<- error) {
	for {
		req, err := c.stream.Recv()
		if err != nil {
			failed <- err
			return
		}
		select {
		case requests <- req:
		case <-ctx.Done():
			return
		}
	}
}

func (c *conn) handle(req *discovery.DeltaDiscoveryRequest) error {
	outcome, err := c.session.Handle(time.Now(), req)
	switch {
	case errors.Is(err, ErrUnknownType):
		c.hub.opts.Observer.Refused(CodeUnknownType)
		return nil
	case err != nil:
		c.hub.opts.Observer.Refused(CodeUnexpected)
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	c.subscribed = true
	c.hub.opts.Observer.Request(c.peer, envoy.TypeURL(req.GetTypeUrl()), outcome)
	if outcome != nil && outcome.Refused != "" {
		c.hub.opts.Log.Warn("a proxy refused configuration", "pod", c.peer.Pod.String(), "type", string(outcome.Type),
			"resources", outcome.Resources, "error", outcome.Refused)
	}
	return nil
}

// turn does all that is due and returns the time until it must be called again at the latest.
func (c *conn) turn(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	if err := c.collect(now); err != nil {
		return 0, err
	}
	c.certificate(ctx, now)
	if err := c.enter(ctx); err != nil {
		return 0, err
	}
	for _, resp := range c.session.Next(now) {
		if err := c.send(resp); err != nil {
			return 0, err
		}
	}
	c.publish()
	next := time.Hour
	for _, at := range []time.Time{c.session.Deadline(), c.renewAt, c.limit(), c.answerBy()} {
		if !at.IsZero() {
			next = min(next, max(0, time.Until(at)))
		}
	}
	return next, nil
}

// enter sees to it that a stream with much to send does so in its turn.
func (c *conn) enter(ctx context.Context) error {
	if c.leave != nil || c.session.Due() <= few {
		return nil
	}
	if c.leave = c.hub.large.enter(ctx.Done()); c.leave == nil {
		return ctx.Err()
	}
	return nil
}

// left makes room for the next in the gate it is in, if any.
func (c *conn) left() {
	if c.leave != nil {
		c.leave()
		c.leave = nil
	}
}

// limit is when the stream is cut unless its pod becomes known and its client subscribes.
func (c *conn) limit() time.Time {
	switch {
	case !c.strangeAt.IsZero():
		return c.strangeAt.Add(c.hub.opts.ParkLimit)
	case !c.subscribed:
		return c.since.Add(c.hub.opts.ParkLimit)
	}
	return time.Time{}
}

// answerBy is when the stream is cut unless the client answers what was sent.
func (c *conn) answerBy() time.Time {
	since := c.session.Unanswered()
	if since.IsZero() {
		return since
	}
	return since.Add(c.hub.opts.AnswerTimeout)
}

// collect takes the mail into the session.
func (c *conn) collect(now time.Time) error {
	c.mu.Lock()
	m := c.mail
	m.generation = c.told()
	c.mail.endpoints, c.mail.reissue, c.mail.urgent = nil, false, false
	c.mu.Unlock()
	switch {
	case m.end != nil:
		if errors.Is(m.end, errIdentity) {
			c.hub.opts.Observer.Refused(CodeIdentityMismatch)
		}
		return m.end
	case !m.unknown:
		c.strangeAt = time.Time{}
	case c.strangeAt.IsZero():
		c.strangeAt = now
	}
	if at := c.limit(); !at.IsZero() && !now.Before(at) {
		if !c.strangeAt.IsZero() {
			c.hub.opts.Observer.Refused(CodeNoPod)
			return errUnknown
		}
		return errIdle
	}
	if at := c.answerBy(); !at.IsZero() && !now.Before(at) {
		c.hub.opts.Observer.Refused(CodeSend)
		return errSlow
	}
	if m.config != nil {
		c.config = m.config
		c.session.SetDesired(Desired{Generation: m.generation, Config: m.config, Endpoints: c.hub.endpoints})
	}
	c.session.EndpointsChanged(m.endpoints)
	if m.reissue && !c.renewAt.IsZero() {
		c.renewAt = now.Add(rand.N(c.hub.opts.Reissue))
	}
	return nil
}

// certificate sees to it that the client gets a workload certificate as soon as it asks, and a new one in time.
func (c *conn) certificate(ctx context.Context, now time.Time) {
	if c.issuing || c.config == nil {
		return
	}
	held, needed := c.session.CertificateNeeded()
	retry := c.failures > 0 && now.Before(c.renewAt)
	switch {
	case needed && held != "" && !retry:
		if renewAt, ok := c.hub.certs.Current(c.peer.Identity, held); ok {
			c.session.AcceptCertificate()
			c.renewAt = early(now, renewAt)
			return
		}
	case needed && !retry:
	case !c.renewAt.IsZero() && !now.Before(c.renewAt):
	default:
		return
	}
	c.issuing = true
	go func() {
		ctx, cancel := context.WithTimeout(ctx, issueTimeout)
		defer cancel()
		res, renewAt, err := c.hub.certs.Issue(ctx, c.peer.Identity)
		c.issued <- issue{res, renewAt, err}
	}()
}

func (c *conn) certified(got issue) {
	c.issuing = false
	now := time.Now()
	if got.err != nil {
		c.hub.opts.Observer.Refused(CodeCertificate)
		c.hub.opts.Log.Error("no workload certificate", "pod", c.peer.Pod.String(), "identity", c.peer.Identity.String(), "error", got.err)
		c.renewAt = now.Add(min(issueRetry<<min(c.failures, 10), issueMax))
		c.failures++
		return
	}
	c.failures = 0
	c.renewAt = early(now, got.renewAt)
	c.session.SetCertificate(got.res)
}

// early moves a renewal up to a tenth of the time left forward, so that pods started together do not renew together.
func early(now, at time.Time) time.Time {
	if left := at.Sub(now); left > 10*time.Millisecond {
		return at.Add(-rand.N(left / 10))
	}
	return at
}

// send writes one response; a client that does not read is cut off.
func (c *conn) send(resp *Response) error {
	watchdog := time.AfterFunc(c.hub.opts.SendTimeout, c.cut)
	err := c.stream.SendMsg(resp)
	watchdog.Stop()
	c.hub.opts.Observer.Sent(c.peer, resp.Type, resp.Resources(), resp.Size(), err)
	if err != nil {
		c.hub.opts.Observer.Refused(CodeSend)
	}
	return err
}

// publish makes the session's state visible to others.
func (c *conn) publish() {
	settled := c.config != nil && c.session.Settled()
	if settled {
		c.left()
	}
	c.mu.Lock()
	was := c.settled
	if settled = settled && !c.mail.urgent; settled {
		c.settled = true
	} else {
		c.unsettle()
	}
	c.key = c.mail.key.String()
	before := c.rejections
	c.rejections = c.session.Rejections()
	other := !slices.Equal(before, c.rejections)
	c.mu.Unlock()
	if other || settled != was {
		c.hub.note(c)
	}
	if other {
		c.hub.opts.Refusals()
	}
}
