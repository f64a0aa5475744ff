package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
)

// proxy is as little of a client as behaves like a sidecar: it knows beforehand what it will subscribe by name.
type proxy struct {
	token    string
	secret   string
	received atomic.Int64
	versions map[string]map[string]string
	cancel   context.CancelFunc
	done     chan struct{}
}

var failures atomic.Int64

// traffic is what all proxies received since the last reset: encoded responses, in bytes.
type traffic struct {
	// Bytes went to Proxies of them; Others is the part that went to proxies of any identity but the first.
	Bytes, Others   int64
	Proxies, Broken int64
}

// simulate obeys one command a line: connect, reconnect, reset, traffic; each is answered with one line.
func simulate(address string, in io.Reader, out io.Writer, proxies, services int) {
	scan := bufio.NewScanner(in)
	var pem []byte
	for scan.Scan() && scan.Text() != "." {
		pem = append(append(pem, scan.Bytes()...), '\n')
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	all := make([]*proxy, proxies)
	for i := range all {
		all[i] = &proxy{token: fmt.Sprint("token-", i), secret: names.SecretServiceCert(identity(i % services)), versions: map[string]map[string]string{}}
	}
	for scan.Scan() {
		switch scan.Text() {
		case "reconnect":
			for _, p := range all {
				p.cancel()
				<-p.done
			}
			reset(all)
			fallthrough
		case "connect":
			for _, p := range all {
				p.start(address, roots)
			}
		case "reset":
			reset(all)
		case "traffic":
			_ = json.NewEncoder(out).Encode(count(all, services))
			continue
		}
		_, _ = fmt.Fprintln(out, "ok")
	}
	for _, p := range all {
		if p.cancel != nil {
			p.cancel()
			<-p.done
		}
	}
}

func reset(all []*proxy) {
	for _, p := range all {
		p.received.Store(0)
	}
}

func count(all []*proxy, services int) traffic {
	t := traffic{Broken: failures.Load()}
	for i, p := range all {
		n := p.received.Load()
		if n == 0 {
			continue
		}
		t.Bytes += n
		t.Proxies++
		if i%services != 0 {
			t.Others += n
		}
	}
	return t
}

func (p *proxy) start(address string, roots *x509.CertPool) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		for ctx.Err() == nil { // as Envoy does: again after a moment
			conn, err := deltaclient.Dial(address, xdsserver.Name, roots)
			if err != nil {
				fmt.Fprintln(os.Stderr, "proxy:", err)
				return
			}
			// serve ends when the stream does, which is a failure unless it was meant to.
			if _ = p.serve(ctx, conn); ctx.Err() == nil {
				failures.Add(1)
			}
			_ = conn.Close()
			select {
			case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
			case <-ctx.Done():
			}
		}
	}()
}

func (p *proxy) serve(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(deltaclient.WithToken(ctx, p.token))
	if err != nil {
		return err
	}
	subscribed := map[envoy.TypeURL]bool{}
	subscribe := func(t envoy.TypeURL, names ...string) error {
		if subscribed[t] {
			return nil
		}
		subscribed[t] = true
		return stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names, InitialResourceVersions: p.versions[string(t)]})
	}
	if err := subscribe(envoy.Cluster, "*"); err != nil {
		return err
	}
	for {
		resp := &discovery.DeltaDiscoveryResponse{}
		if err := stream.RecvMsg(resp); err != nil {
			return err
		}
		p.received.Add(int64(proto.Size(resp)))
		t := resp.GetTypeUrl()
		if p.versions[t] == nil {
			p.versions[t] = map[string]string{}
		}
		for _, r := range resp.GetResources() {
			p.versions[t][r.GetName()] = r.GetVersion()
		}
		if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: t, ResponseNonce: resp.GetNonce()}); err != nil {
			return err
		}
		switch envoy.TypeURL(t) {
		case envoy.Cluster:
			var wanted []string
			for c := range p.versions[t] {
				if !strings.HasSuffix(c, "|local") {
					wanted = append(wanted, c)
				}
			}
			err = errFirst(subscribe(envoy.Endpoint, wanted...), subscribe(envoy.Secret, p.secret), subscribe(envoy.Listener, "*"))
		case envoy.Listener:
			err = subscribe(envoy.Route, "rds-outbound.8080", "rds-inbound.8080")
		}
		if err != nil {
			return err
		}
	}
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
