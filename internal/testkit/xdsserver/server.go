package xdsserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// Name is the DNS name in the server's certificate.
const Name = "osm-controller.test"

// Tokens authenticates a fixed set of tokens.
type Tokens struct {
	mu    sync.Mutex
	known map[string]xds.Peer
}

// Allow makes a token valid for a pod.
func (t *Tokens) Allow(token string, p xds.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]xds.Peer{}
	}
	t.known[token] = p
}

// Authenticate implements xds.Authenticator.
func (t *Tokens) Authenticate(_ context.Context, token string) (xds.Peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.known[token]
	if !ok {
		return xds.Peer{}, errors.New("token: signature, audience or expiry is wrong (secret detail)")
	}
	return p, nil
}

// Certs issues self-signed workload certificates that are valid for Life.
type Certs struct {
	mu      sync.Mutex
	Life    time.Duration
	root    int
	serial  int
	failing bool
	changed chan struct{}
}

// Issue implements xds.Certificates.
func (c *Certs) Issue(_ context.Context, id meshid.Identity) (*envoy.Resource, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing {
		return nil, time.Time{}, errors.New("the issuer is down")
	}
	c.serial++
	keyPair, err := selfSigned(int64(c.serial), id.String())
	if err != nil {
		return nil, time.Time{}, err
	}
	res := *xdstest.Certificate(names.SecretServiceCert(id), keyPair.certPEM, keyPair.keyPEM)
	at := time.Now().Add(c.life())
	res.Version = fmt.Sprintf("root%d.%d", c.root, at.Unix())
	if c.Life > 0 { // expiries within one second must differ too
		res.Version = fmt.Sprintf("root%d.%d", c.root, at.UnixNano())
	}
	return &res, at, nil
}

func (c *Certs) life() time.Duration {
	if c.Life > 0 {
		return c.Life
	}
	return time.Hour
}

// Current implements xds.Certificates: every version of the present root is good.
func (c *Certs) Current(_ meshid.Identity, version string) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var root int
	var expiry int64
	if n, _ := fmt.Sscanf(version, "root%d.%d", &root, &expiry); n != 2 || root != c.root {
		return time.Time{}, false
	}
	return time.Now().Add(c.life()), true
}

// Changed implements xds.Certificates.
func (c *Certs) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// Rotate changes the root: all certificates must be issued anew.
func (c *Certs) Rotate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root++
	if c.changed != nil {
		close(c.changed)
	}
	c.changed = make(chan struct{})
}

// Fail makes issuing fail, or work again.
func (c *Certs) Fail(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = on
}

// Issued returns the number of certificates issued.
func (c *Certs) Issued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serial
}

// Server is a running server.
type Server struct {
	Hub     *xds.Hub
	Tokens  *Tokens
	Certs   *Certs
	Address string
	Roots   *x509.CertPool
	// RootPEM is the CA certificate of the server, for clients that read files.
	RootPEM []byte
	own     keyPair
	stop    func()
}

// Start runs a server on a free loopback port.
func Start(opts xds.Options) (*Server, error) {
	own, err := selfSigned(1, Name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own.certPEM)
	s := &Server{Tokens: &Tokens{}, Certs: &Certs{}, Roots: roots, RootPEM: own.certPEM, own: own}
	return s, s.run("127.0.0.1:0", opts)
}

// Restart stops the server and runs a new one, which remembers no stream, at the same address with the same
// certificate, tokens and issuer.
func (s *Server) Restart(opts xds.Options) error {
	s.Stop()
	return s.run(s.Address, opts)
}

func (s *Server) run(address string, opts xds.Options) error {
	pair, err := tls.X509KeyPair(s.own.certPEM, s.own.keyPEM)
	if err != nil {
		return err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.Hub = xds.NewHub(s.Certs, opts)
	srv, err := xds.NewServer(s.Hub, s.Tokens, conf)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.Address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.Hub.Run(ctx) })
	done.Go(func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			panic(err)
		}
	})
	s.stop = func() { cancel(); srv.Stop(); done.Wait() }
	return nil
}

// Stop closes the server and all its streams.
func (s *Server) Stop() { s.stop() }

// ServerCertificate makes a certificate for Name, and the CA certificate that clients trust it by.
func ServerCertificate() (tls.Certificate, []byte, error) {
	own, err := selfSigned(1, Name)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pair, err := tls.X509KeyPair(own.certPEM, own.keyPEM)
	return pair, own.certPEM, err
}

type keyPair struct{ certPEM, keyPEM []byte }

func selfSigned(serial int64, name string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return keyPair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
