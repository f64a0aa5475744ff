package xds

import (
	"context"
	"log/slog"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
)

// View is one generation of everything proxies may be told. It is immutable and safe for concurrent use. Content that
// did not change between two views must be the same pointer in both: that is how the hub finds whom a view concerns.
type View interface {
	Generation() uint64
	// Basis is equal (==) in two views that place every pod alike and have the same configuration for every key, so that
	// only endpoints can differ; nil is equal to nothing.
	Basis() any
	// Place says which configuration a pod gets; false while the snapshot does not know this incarnation of the pod.
	Place(pod meshid.Pod) (plan.Key, bool)
	// Config returns the configuration of a key, computed once per view.
	Config(key plan.Key) *envoy.Resources
	// Endpoints returns the load assignment of a cluster by the cluster's name, which is also the name clients
	// subscribe; nil when the cluster is unknown.
	Endpoints(cluster string) *envoy.Resource
}

// Peer is who opened a stream, as proven by its token; what the client says of itself in node is never looked at.
type Peer struct {
	Pod      meshid.Pod
	Identity meshid.Identity
}

// Authenticator finds out whose token it is. Any error refuses the stream; its text stays in the log of the controller.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Peer, error)
}

// Certificates makes workload certificates.
type Certificates interface {
	// Issue makes the secret names.SecretServiceCert(id) with a fresh key, for one proxy alone, and says when to
	// renew it. Its version encodes the root and the expiry.
	Issue(ctx context.Context, id meshid.Identity) (res *envoy.Resource, renewAt time.Time, err error)
	// Current reports whether a version which a reconnecting proxy says it holds is still good, and until when.
	Current(id meshid.Identity, version string) (renewAt time.Time, ok bool)
	// Changed returns a channel that is closed when all certificates must be issued anew; the next call returns the
	// channel of the next such change.
	Changed() <-chan struct{}
}

// Observer is told what happens, for metrics. Methods are called from many goroutines and must not block.
type Observer interface {
	Connected(p Peer)
	Disconnected(p Peer)
	// Request is called for each request of a known type; outcome is nil unless it answers a response.
	Request(p Peer, t envoy.TypeURL, outcome *Outcome)
	// Sent is called after each response of a number of resources and of bytes, before compression and framing; err is that of
	// the transport.
	Sent(p Peer, t envoy.TypeURL, resources, bytes int, err error)
	// Refused is called with an error code of the mesh, for example "E5010", or CodeTooMany.
	Refused(code string)
}

// Error codes given to Observer.Refused. CodeTooMany has no number of its own: it counts in
// osm_proxy_max_connections_rejected.
const (
	CodeUnauthenticated  = "E5005"
	CodeNoPod            = "E5002"
	CodeIdentityMismatch = "E5010"
	CodeSend             = "E5006"
	CodeUnexpected       = "E5012"
	CodeUnknownType      = "E5013"
	CodeCertificate      = "E5024"
	CodeTooMany          = "too many connections"
)

// Options are the limits of a hub and its server. Zero values mean the defaults named here.
type Options struct {
	// MaxConnections caps the streams; nil or a result of 0 mean no cap. It is asked anew for each stream.
	MaxConnections func() int
	// AuthTimeout bounds waiting for admission and authenticating a stream (5 s).
	AuthTimeout time.Duration
	// ParkLimit bounds how long a stream may stay whose pod no view knows, or that never subscribes (30 s).
	ParkLimit time.Duration
	// SendTimeout is how long a client may leave the transport blocked before it is cut (20 s).
	SendTimeout time.Duration
	// AnswerTimeout is how long a client may leave a response unanswered before it is cut (60 s). gRPC takes one
	// response of each type even when the client does not read, so this is what bounds a slow reader.
	AnswerTimeout time.Duration
	// StreamsPerSecond limits new streams, with a burst of the same size (1000).
	StreamsPerSecond int
	// Reissue spreads the renewals after Certificates.Changed over this time (5 s).
	Reissue time.Duration
	// Observer may be nil.
	Observer Observer
	// Refusals, if not nil, is called whenever what some proxy refuses has changed; Hub.Rejections has it. It must not block.
	Refusals func()
	// Log may be nil.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orDuration(&o.AuthTimeout, 5*time.Second)
	if o.Refusals == nil {
		o.Refusals = func() {}
	}
	orDuration(&o.ParkLimit, 30*time.Second)
	orDuration(&o.SendTimeout, 20*time.Second)
	orDuration(&o.AnswerTimeout, time.Minute)
	orDuration(&o.Reissue, 5*time.Second)
	if o.StreamsPerSecond == 0 {
		o.StreamsPerSecond = 1000
	}
	if o.Observer == nil {
		o.Observer = ignorant{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

type ignorant struct{}

func (ignorant) Connected(Peer)                            {}
func (ignorant) Disconnected(Peer)                         {}
func (ignorant) Request(Peer, envoy.TypeURL, *Outcome)     {}
func (ignorant) Sent(Peer, envoy.TypeURL, int, int, error) {}
func (ignorant) Refused(string)                            {}
