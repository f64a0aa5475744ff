package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Limits of the listener. A request's largest part is initial_resource_versions: about 150 bytes a resource.
const (
	maxRequestBytes  = 2 << 20
	maxHeaderBytes   = 32 << 10
	streamsPerSocket = 4
	authenticating   = 128              // streams being authenticated at one time
	handshakeTimeout = 20 * time.Second // a thousand proxies may come at once on a busy machine
	idleTimeout      = time.Minute      // of a socket without a stream; each wakes once in this time
	probeAfter       = 30 * time.Second // of silence, the kernel asks the other whether it is there
	probeEvery       = 5 * time.Second
	probes           = 3                // without an answer end a socket
	unsentTimeout    = 15 * time.Second // what the other's kernel has not acknowledged ends it too
	never            = 365 * 24 * time.Hour
	minClientPing    = 10 * time.Second
	// starting connections do their handshake and get their first configuration at one time, each for startingMost at most.
	starting     = 128
	startingMost = 400 * time.Millisecond
)

var errUnauthenticated = status.Error(codes.Unauthenticated, "unauthenticated")

// NewServer returns the gRPC server of a hub. It serves one method, DeltaAggregatedResources, over TLS only, and
// reads no request before the stream's token is authenticated. Every other method of this or any other service is
// Unimplemented: nothing else is registered.
func NewServer(h *Hub, auth Authenticator, conf *tls.Config) (*grpc.Server, error) {
	if conf == nil || len(conf.Certificates) == 0 && conf.GetCertificate == nil && conf.GetConfigForClient == nil {
		return nil, errors.New("xds: a server certificate is required")
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	conf.DynamicRecordSizingDisabled = true // else the first 128 kB are a hundred small records, and as many writes
	s := &server{
		hub: h, auth: auth, slots: make(chan struct{}, authenticating),
		rate: rate.NewLimiter(rate.Limit(h.opts.StreamsPerSecond), h.opts.StreamsPerSecond),
	}
	srv := grpc.NewServer(
		grpc.Creds(cuttable{credentials.NewTLS(conf), newGate(starting, startingMost)}),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.StreamInterceptor(s.admit),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.HeaderTableSize(0), // a stream has headers once: a table of them would only keep its token
		grpc.MaxConcurrentStreams(streamsPerSocket),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.ReadBufferSize(0), // TLS keeps a record of its own; a second buffer for each of thousands of sockets gains nothing
		// Pings of a thousand proxies took a third of a per cent of a core; the kernel's probes (ServerHandshake) take none. A proxy
		// that hangs, whose kernel answers, is found by AnswerTimeout with the next change.
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: never, Timeout: unsentTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minClientPing}),
	)
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService",
		HandlerType: (*deltaServer)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "DeltaAggregatedResources", ServerStreams: true, ClientStreams: true,
			Handler: func(srv any, stream grpc.ServerStream) error { return srv.(deltaServer).delta(stream) },
		}},
		Metadata: "envoy/service/discovery/v3/ads.proto",
	}, s)
	return srv, nil
}

type deltaServer interface{ delta(grpc.ServerStream) error }

type server struct {
	hub   *Hub
	auth  Authenticator
	slots chan struct{}
	rate  *rate.Limiter
}

type peerKey struct{}

// authenticated is a stream that carries its peer.
type authenticated struct {
	grpc.ServerStream
	ctx context.Context
}

func (a authenticated) Context() context.Context { return a.ctx }

// admit authenticates a stream before anything of it is read. Clients learn that they were refused, not why.
func (s *server) admit(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.hub.opts.Log.Error("a stream handler panicked", "panic", r)
			err = status.Error(codes.Internal, "internal error")
		}
	}()
	who, err := s.authenticate(stream.Context())
	if err != nil {
		return err
	}
	return next(srv, authenticated{stream, context.WithValue(stream.Context(), peerKey{}, who)})
}

func (s *server) authenticate(ctx context.Context) (Peer, error) {
	token, ok := bearer(ctx)
	if !ok {
		s.hub.opts.Observer.Refused(CodeUnauthenticated)
		return Peer{}, errUnauthenticated
	}
	ctx, cancel := context.WithTimeout(ctx, s.hub.opts.AuthTimeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return Peer{}, errTooMany
	}
	if err := s.rate.Wait(ctx); err != nil {
		return Peer{}, errTooMany
	}
	who, err := s.auth.Authenticate(ctx, token)
	if err != nil || who.Pod.Name == "" || who.Identity.IsZero() {
		s.hub.opts.Observer.Refused(CodeUnauthenticated)
		s.hub.opts.Log.Warn("a stream was refused", "from", address(ctx), "error", err)
		return Peer{}, errUnauthenticated
	}
	return who, nil
}

// bearer returns the one token of the authorization header, with or without the scheme: Envoy's credential injector
// sends the file's content as it is.
func bearer(ctx context.Context) (string, bool) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return "", false
	}
	token := strings.TrimSpace(values[0])
	if scheme, rest, ok := strings.Cut(token, " "); ok {
		if !strings.EqualFold(scheme, "Bearer") {
			return "", false
		}
		token = strings.TrimSpace(rest)
	}
	return token, token != ""
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

func (s *server) delta(stream grpc.ServerStream) error {
	who, ok := stream.Context().Value(peerKey{}).(Peer)
	if !ok {
		return errUnauthenticated
	}
	cut, started := func() {}, func() {}
	if p, ok := peer.FromContext(stream.Context()); ok {
		if info, ok := p.AuthInfo.(socketInfo); ok {
			cut, started = func() { _ = info.socket.Close() }, info.started
		}
	}
	defer started()
	c := newConn(s.hub, who, stream, cut, time.Now())
	c.leave = started
	if err := s.hub.join(c); err != nil {
		return err
	}
	defer s.hub.leave(c)
	s.hub.opts.Observer.Connected(who)
	defer s.hub.opts.Observer.Disconnected(who)
	if err := c.run(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// cuttable is TLS that remembers the socket, so that a client that does not read can be cut: gRPC has no other way to
// interrupt a blocked Send. Handshakes wait their turn, and sockets are probed.
type cuttable struct {
	credentials.TransportCredentials
	gate *gate
}

type socketInfo struct {
	credentials.TLSInfo
	socket net.Conn
	// started is called when the first stream has all it needs, or ends.
	started func()
}

// ServerHandshake adds the socket to what the TLS handshake found out.
func (c cuttable) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes}) // fails on a closed socket alone
	}
	leave := c.gate.enter(nil)
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		leave()
		return nil, nil, err
	}
	t, ok := info.(credentials.TLSInfo)
	if !ok {
		leave()
		_ = conn.Close()
		return nil, nil, errors.New("xds: the handshake was not TLS")
	}
	return conn, socketInfo{TLSInfo: t, socket: raw, started: leave}, nil
}

// Clone keeps the wrapping.
func (c cuttable) Clone() credentials.TransportCredentials {
	return cuttable{c.TransportCredentials.Clone(), c.gate}
}
