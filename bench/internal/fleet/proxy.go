package fleet

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
)

// proxy is one sidecar.
type proxy struct {
	fleet *fleet
	token string
	// delay is slept before each answer, in nanoseconds; refuse is whether changed routes are refused.
	delay  atomic.Int64
	refuse atomic.Bool

	cancel context.CancelFunc
	done   chan struct{}

	mu sync.Mutex
	// held is type → name → version; it stands over reconnects.
	held map[envoy.TypeURL]map[string]string
	// named is what is subscribed by name.
	named map[envoy.TypeURL]map[string]bool
	// since counts what came since the last reset, by type; bytes are encoded responses.
	since map[envoy.TypeURL]int
	bytes int
	// lastAck is when the last answer was sent, complete when first everything named was there on this stream.
	lastAck, complete time.Time
}

// references remembers what resources name, by type, name and version: all proxies of an identity are told the same.
type references struct {
	mu   sync.RWMutex
	refs map[[3]string][]envoy.Ref
}

func (r *references) of(t envoy.TypeURL, res resource) []envoy.Ref {
	if t != envoy.Cluster && t != envoy.Listener && t != envoy.Route {
		return nil
	}
	key := [3]string{string(t), res.name, res.version}
	r.mu.RLock()
	refs, ok := r.refs[key]
	r.mu.RUnlock()
	if ok {
		return refs
	}
	var body anypb.Any
	if err := proto.Unmarshal(res.body, &body); err != nil {
		return nil
	}
	refs, err := deltaclient.Refs(&body)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	r.refs[key] = refs
	r.mu.Unlock()
	return refs
}

// start connects, and again after a moment whenever the stream ends, as Envoy does.
func (p *proxy) start(address, name string, roots *x509.CertPool) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		for ctx.Err() == nil {
			conn, err := deltaclient.Dial(address, name, roots, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec())))
			if err == nil {
				err = p.serve(ctx, conn)
				_ = conn.Close()
			}
			if ctx.Err() != nil {
				return
			}
			p.fleet.broke(err)
			select {
			case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
			case <-ctx.Done():
			}
		}
	}()
}

func (p *proxy) stop() {
	if p.cancel != nil {
		p.cancel()
		<-p.done
		p.cancel = nil
	}
}

func (p *proxy) serve(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(deltaclient.WithToken(ctx, p.token))
	if err != nil {
		return err
	}
	for _, req := range p.connect() {
		if err := stream.Send(req); err != nil {
			return err
		}
	}
	for {
		var resp response
		if err := stream.RecvMsg(&resp); err != nil {
			return err
		}
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		answers := p.handle(&resp)
		resp.free()
		for _, req := range answers {
			if err := stream.Send(req); err != nil {
				return err
			}
		}
		p.acknowledged()
	}
}

// connect returns a stream's first requests: with what is held, in the order of Envoy.
func (p *proxy) connect() []*discovery.DeltaDiscoveryRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complete = time.Time{}
	var out []*discovery.DeltaDiscoveryRequest
	for _, t := range envoy.Types() {
		req := &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), InitialResourceVersions: p.held[t]}
		if t == envoy.Cluster || t == envoy.Listener {
			req.ResourceNamesSubscribe = []string{"*"}
		} else if len(p.named[t]) == 0 {
			continue
		}
		for name := range p.named[t] {
			req.ResourceNamesSubscribe = append(req.ResourceNamesSubscribe, name)
		}
		out = append(out, req)
	}
	return out
}

// handle takes a response in and returns the answer and what it leads to.
func (p *proxy) handle(resp *response) []*discovery.DeltaDiscoveryRequest {
	t := resp.typ
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since[t]++
	p.bytes += resp.size
	answer := &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResponseNonce: resp.nonce}
	if t == envoy.Route && p.refuse.Load() && len(p.held[t]) > 0 {
		answer.ErrorDetail = &rpcstatus.Status{Code: 13, Message: "refused on purpose"}
		return []*discovery.DeltaDiscoveryRequest{answer}
	}
	out := []*discovery.DeltaDiscoveryRequest{answer}
	wanted := map[envoy.TypeURL][]string{}
	for _, r := range resp.resources {
		p.held[t][r.name] = r.version
		for _, ref := range p.fleet.references.of(t, r) {
			if _, unasked := p.held[envoy.Cluster][ref.Name]; unasked && ref.Type == envoy.Cluster {
				continue
			}
			if !p.named[ref.Type][ref.Name] { // of clusters: one on demand, and every simulated sidecar calls everything
				p.named[ref.Type][ref.Name] = true
				wanted[ref.Type] = append(wanted[ref.Type], ref.Name)
			}
		}
	}
	for _, name := range resp.removed {
		delete(p.held[t], name)
		if t == envoy.Cluster && p.named[envoy.Endpoint][name] {
			delete(p.named[envoy.Endpoint], name)
			delete(p.held[envoy.Endpoint], name)
			out = append(out, &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesUnsubscribe: []string{name}})
		}
		delete(p.named[t], name)
	}
	for t, names := range wanted {
		out = append(out, &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names})
	}
	return out
}

// acknowledged notes the time, and whether all that is named is there.
func (p *proxy) acknowledged() {
	p.mu.Lock()
	p.lastAck = time.Now()
	if p.complete.IsZero() && p.whole() {
		p.complete = p.lastAck
	}
	p.mu.Unlock()
	p.fleet.progress()
}

func (p *proxy) whole() bool {
	if len(p.held[envoy.Cluster]) == 0 || len(p.held[envoy.Listener]) == 0 {
		return false
	}
	for t, names := range p.named {
		for name := range names {
			if _, ok := p.held[t][name]; !ok {
				return false
			}
		}
	}
	return true
}
