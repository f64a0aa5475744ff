package xds

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

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

// conn is one stream. Two goroutines work on its session in turns: run with what the hub or the clock says, read with what the
// client says, so that neither has to wake the other.
type conn struct {
	id    uint64
	hub   *Hub
	peer  Peer
	since time.Time
	cut   func() // closes the transport hard
	group *group // guarded by hub.mu

	wake   chan struct{} // there is urgent mail, or a time has come
	failed chan error    // what ends the stream
	placed chan struct{} // closed when the pod has a place in a view
	busy   chan struct{} // holds one while somebody works on the session

	mu   sync.Mutex
	mail mail
	// sending is since when a response is being written, zero: none is; watchdog, if any, will look at that.
	sending  time.Time
	watchdog *time.Timer
	// What was last published. While it is settled the proxy has the hub's newest generation, whatever that
	// is, so that a change which does not concern it costs it nothing; ackedGen is what it had when that ended.
	settled    bool
	ackedGen   uint64
	key        string
	rejections []Rejection

	stream deltaStream

	// Of who is busy with it.
	leave      func() // the gate it is in; nil: none
	session    *Session
	alarm      *time.Timer
	rings      time.Time // when the alarm rings at the latest; zero: it is not set
	config     *envoy.Resources
	strangeAt  time.Time // since when no view knows the pod; zero: it is known
	subscribed bool
	issuing    bool
	failures   int
	renewAt    time.Time
}

// deltaStream is the part of the gRPC stream that is used; a *Response is sent, a *Request received.
type deltaStream interface {
	Context() context.Context
	SendMsg(any) error
	RecvMsg(any) error
}

func newConn(h *Hub, p Peer, stream deltaStream, cut func(), now time.Time) *conn {
	return &conn{
		hub: h, peer: p, since: now, cut: cut, stream: stream,
		wake: make(chan struct{}, 1), failed: make(chan error, 1), placed: make(chan struct{}), busy: make(chan struct{}, 1),
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
		c.ring()
	}
}

// ring wakes run.
func (c *conn) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fail ends the stream; the first error counts.
func (c *conn) fail(err error) {
	select {
	case c.failed <- err:
	default:
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

// hold waits until nobody else works on the session; false when ctx or the stream ends before.
func (c *conn) hold(ctx context.Context) bool {
	select {
	case c.busy <- struct{}{}:
		return true
	default:
	}
	select {
	case c.busy <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-c.stream.Context().Done():
	}
	return false
}

// inspect runs f on the session, unless ctx or the stream ends before.
func (c *conn) inspect(ctx context.Context, f func(*Session)) {
	if c.hold(ctx) {
		f(c.session)
		<-c.busy
	}
}

// work takes in what has happened, and then does all that is due.
func (c *conn) work(happened func() error) error {
	ctx := c.stream.Context()
	if !c.hold(ctx) {
		return ctx.Err()
	}
	defer func() { <-c.busy }()
	if err := happened(); err != nil {
		return err
	}
	return c.turn(ctx)
}

// run serves the stream until it ends.
func (c *conn) run() error {
	c.alarm = time.AfterFunc(0, c.ring)
	go c.read()
	for {
		select {
		case err := <-c.failed:
			return c.end(err)
		case <-c.wake:
		}
		if err := c.work(func() error { return nil }); err != nil {
			return c.end(err)
		}
	}
}

// end keeps everybody else from the session for good: nothing may be sent after run returns.
func (c *conn) end(err error) error {
	c.busy <- struct{}{}
	c.left()
	c.alarm.Stop() // timers would keep all that belongs to the stream
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchdog != nil {
		c.watchdog.Stop()
	}
	return err
}

// read hears the client. Nothing is taken in before the pod has a place in the view.
func (c *conn) read() {
	ctx := c.stream.Context()
	for {
		var req Request
		err := c.stream.RecvMsg(&req)
		if err == nil {
			select {
			case <-c.placed:
				err = c.work(func() error { return c.handle(&req) })
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *conn) handle(req *Request) error {
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
	c.hub.opts.Observer.Request(c.peer, req.Type, outcome)
	if outcome != nil && outcome.Refused != "" {
		c.hub.opts.Log.Warn("a proxy refused configuration", "pod", c.peer.Pod.String(), "type", string(outcome.Type),
			"resources", outcome.Resources, "error", outcome.Refused)
	}
	return nil
}

// turn does all that is due and sets the alarm.
func (c *conn) turn(ctx context.Context) error {
	now := time.Now()
	if err := c.collect(now); err != nil {
		return err
	}
	c.certificate(ctx, now)
	if err := c.enter(ctx); err != nil {
		return err
	}
	for _, resp := range c.session.Next(now) {
		if err := c.send(resp); err != nil {
			return err
		}
	}
	c.publish()
	c.setAlarm(now)
	return nil
}

// setAlarm sees to it that turn is called in time. An alarm that would ring too early is left: most of them are far away, and moved
// with each message.
func (c *conn) setAlarm(now time.Time) {
	if !now.Before(c.rings) {
		c.rings = time.Time{}
	}
	for _, at := range []time.Time{c.session.Deadline(), c.renewAt, c.limit(), c.answerBy()} {
		if !at.IsZero() && (c.rings.IsZero() || at.Before(c.rings)) {
			c.rings = at
			c.alarm.Reset(time.Until(at))
		}
	}
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
		if c.config == nil {
			close(c.placed)
		}
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
		if err := c.work(func() error { c.certified(res, renewAt, err); return nil }); err != nil {
			c.fail(err)
		}
	}()
}

// certified takes in an answer of the issuer.
func (c *conn) certified(res *envoy.Resource, renewAt time.Time, err error) {
	c.issuing = false
	now := time.Now()
	if err != nil {
		c.hub.opts.Observer.Refused(CodeCertificate)
		c.hub.opts.Log.Error("no workload certificate", "pod", c.peer.Pod.String(), "identity", c.peer.Identity.String(), "error", err)
		c.renewAt = now.Add(min(issueRetry<<min(c.failures, 10), issueMax))
		c.failures++
		return
	}
	c.failures = 0
	c.renewAt = early(now, renewAt)
	c.session.SetCertificate(res)
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
	c.mu.Lock()
	c.sending = time.Now()
	if c.watchdog == nil {
		c.watchdog = time.AfterFunc(c.hub.opts.SendTimeout, c.watch)
	}
	c.mu.Unlock()
	err := c.stream.SendMsg(resp)
	c.mu.Lock()
	c.sending = time.Time{}
	c.mu.Unlock()
	c.hub.opts.Observer.Sent(c.peer, resp.Type, resp.Resources(), resp.Size(), err)
	if err != nil {
		c.hub.opts.Observer.Refused(CodeSend)
	}
	return err
}

// watch looks whether a response is written for too long, and again when one of now would be.
func (c *conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.hub.opts.SendTimeout - time.Since(c.sending)
	switch {
	case c.sending.IsZero():
		c.watchdog = nil
	case left <= 0:
		c.cut()
	default:
		c.watchdog = time.AfterFunc(left, c.watch)
	}
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
