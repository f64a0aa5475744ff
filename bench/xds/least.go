package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// least is the least server: it hands out bytes prepared beforehand and keeps count of the answers, and does nothing
// else. It is what gRPC, TLS and the machine themselves cost; no control plane that speaks the protocol can be faster.
type least struct {
	size
	addr    string
	pem     []byte
	srv     *grpc.Server
	first   []map[envoy.TypeURL][]byte // by identity: all of a type
	nothing map[envoy.TypeURL][]byte

	mu      sync.Mutex
	streams map[*leastStream]struct{}
	ready   atomic.Int64 // streams that have subscribed everything and answered everything
}

type leastStream struct {
	grpc.ServerStream
	identity   int
	sending    sync.Mutex
	subscribed map[string]bool
	open       int // responses unanswered
	counted    bool
}

// prepared is an encoded response.
type prepared []byte

// rawCodec sends prepared bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(prepared); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func encode(t envoy.TypeURL, list ...*envoy.Resource) []byte {
	resp := &discovery.DeltaDiscoveryResponse{SystemVersionInfo: "1", TypeUrl: string(t), Nonce: "1"}
	for _, r := range list {
		resp.Resources = append(resp.Resources, &discovery.Resource{Name: r.Name, Version: r.Version, Resource: r.Body()})
	}
	b, err := proto.Marshal(resp)
	if err != nil {
		panic(err) // the resources were encoded by this program
	}
	return b
}

func newLeast(s size) (*least, error) {
	certs := &xdsserver.Certs{}
	own, certPEM, err := xdsserver.ServerCertificate()
	if err != nil {
		return nil, err
	}
	l := &least{size: s, pem: certPEM, streams: map[*leastStream]struct{}{}, nothing: map[envoy.TypeURL][]byte{}}
	var eds []*envoy.Resource
	for i := range s.services {
		eds = append(eds, endpoints(cluster(i), s.endpoints))
	}
	all := encode(envoy.Endpoint, eds...)
	for i := range s.services {
		of := map[envoy.TypeURL][]byte{envoy.Endpoint: all}
		set := envoy.NewResources(config(i, s.services, 1))
		for _, t := range []envoy.TypeURL{envoy.Cluster, envoy.Listener, envoy.Route} {
			of[t] = encode(t, set.List(t)...)
		}
		secret, _, err := certs.Issue(context.Background(), identity(i))
		if err != nil {
			return nil, err
		}
		of[envoy.Secret] = encode(envoy.Secret, secret)
		l.first = append(l.first, of)
	}
	for _, t := range envoy.Types() {
		l.nothing[t] = encode(t)
	}
	return l, l.serve(own)
}

func (l *least) serve(own tls.Certificate) error {
	conf := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	l.srv = grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)), grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2(protocodec.Name)}),
		grpc.ReadBufferSize(8<<10))
	l.srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "DeltaAggregatedResources", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return l.delta(stream) }}},
	}, l)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.addr = listener.Addr().String()
	go func() { _ = l.srv.Serve(listener) }()
	return nil
}

func (l *least) address() (string, []byte) { return l.addr, l.pem }
func (l *least) stop()                     { l.srv.Stop() }

func (l *least) delta(stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	_, number, _ := strings.Cut(strings.Join(md.Get("authorization"), ""), "token-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return errors.New("the token has no number")
	}
	s := &leastStream{ServerStream: stream, identity: n % l.services, subscribed: map[string]bool{}}
	l.mu.Lock()
	l.streams[s] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.streams, s)
		l.mu.Unlock()
		s.sending.Lock()
		if s.counted {
			l.ready.Add(-1)
		}
		s.sending.Unlock()
	}()
	for {
		req := &discovery.DeltaDiscoveryRequest{}
		if err := stream.RecvMsg(req); err != nil {
			return err
		}
		if err := l.answer(s, req); err != nil {
			return err
		}
	}
}

func (l *least) answer(s *leastStream, req *discovery.DeltaDiscoveryRequest) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	defer l.note(s)
	if req.GetResponseNonce() != "" {
		s.open--
		return nil
	}
	t := envoy.TypeURL(req.GetTypeUrl())
	s.subscribed[req.GetTypeUrl()] = true
	what := l.first[s.identity][t]
	if len(req.GetInitialResourceVersions()) > 0 {
		// Nothing has changed; only a wildcard subscription needs an answer.
		if what = l.nothing[t]; t != envoy.Cluster && t != envoy.Listener {
			return nil
		}
	}
	s.open++
	return s.SendMsg(prepared(what))
}

// note keeps count of the streams to which nothing is owed; the caller holds s.sending.
func (l *least) note(s *leastStream) {
	done := s.open == 0 && len(s.subscribed) == len(envoy.Types())
	switch {
	case done && !s.counted:
		l.ready.Add(1)
	case !done && s.counted:
		l.ready.Add(-1)
	}
	s.counted = done
}

func (l *least) prepare(change string, round int) (func(), error) {
	var one prepared
	byIdentity := make([]prepared, l.services)
	switch change {
	case changeEndpoint:
		one = encode(envoy.Endpoint, endpoints(cluster(0), l.endpoints+1+round%2))
	case changePrivate:
		byIdentity[0] = encode(envoy.Endpoint, endpoints(private, l.endpoints+1+round%2))
	case changePolicy:
		var clusters []string
		for i := range l.services {
			clusters = append(clusters, cluster(i))
		}
		outbound := xdstest.Route("rds-outbound.8080", 2+round, clusters...)
		for i := range byIdentity {
			byIdentity[i] = encode(envoy.Route, outbound, xdstest.Route("rds-inbound.8080", 2+round, cluster(i)+"|local"))
		}
	default:
		return nil, fmt.Errorf("no change is called %q", change)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for s := range l.streams {
			what := one
			if what == nil {
				what = byIdentity[s.identity]
			}
			if what == nil {
				continue
			}
			s.sending.Lock()
			s.open++
			l.note(s)
			_ = s.SendMsg(what) // a stream that broke comes back by itself
			s.sending.Unlock()
		}
	}, nil
}

func (l *least) settled(ctx context.Context) error {
	for l.ready.Load() < int64(l.proxies) {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d proxies are complete", l.ready.Load(), l.proxies)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}
