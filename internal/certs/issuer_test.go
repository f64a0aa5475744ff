package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

var bookbuyer = meshid.Identity{Namespace: "bookbuyer", ServiceAccount: "bookbuyer"}

// decode reads an issued resource the way Envoy would.
func decode(t testing.TB, res *envoy.Resource) (*tlsv3.Secret, tls.Certificate) {
	t.Helper()
	require.Equal(t, string(envoy.Secret), res.Body().TypeUrl)
	s := &tlsv3.Secret{}
	require.NoError(t, proto.Unmarshal(res.Body().Value, s))
	require.NoError(t, s.ValidateAll())
	pair, err := tls.X509KeyPair(s.GetTlsCertificate().GetCertificateChain().GetInlineBytes(), s.GetTlsCertificate().GetPrivateKey().GetInlineBytes())
	require.NoError(t, err)
	return s, pair
}

func pool(t testing.TB, bundle []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	require.True(t, p.AppendCertsFromPEM(bundle))
	return p
}

func TestIssue(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	i := NewIssuer(a, "cluster.local")
	res, renew, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	require.Equal(t, envoy.Secret, res.Type)
	require.Equal(t, "service-cert:bookbuyer/bookbuyer", res.Name)
	s, pair := decode(t, res)
	require.Equal(t, res.Name, s.Name)
	leaf := pair.Leaf
	require.Equal(t, "bookbuyer.bookbuyer.cluster.local", leaf.Subject.CommonName)
	require.Equal(t, []string{"bookbuyer.bookbuyer.cluster.local"}, leaf.DNSNames)
	require.Equal(t, certtest.Now.Add(24*time.Hour), leaf.NotAfter)
	require.Equal(t, certtest.Now.Add(-5*time.Minute), leaf.NotBefore)
	require.Equal(t, a.RootID()+"."+strconv.FormatInt(leaf.NotAfter.Unix(), 10), res.Version)
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	require.True(t, ok && key.Curve == elliptic.P256())
	for _, eku := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool(t, a.TrustBundle()), CurrentTime: certtest.Now.Add(-2 * time.Minute),
			DNSName: "bookbuyer.bookbuyer.cluster.local", KeyUsages: []x509.ExtKeyUsage{eku}})
		require.NoError(t, err, "a peer whose clock lags by two minutes must accept it")
	}
	require.WithinRange(t, renew, certtest.Now.Add(9*time.Hour), certtest.Now.Add(12*time.Hour))

	other, _, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	_, otherPair := decode(t, other)
	require.False(t, key.Equal(otherPair.Leaf.PublicKey), "two pods of one identity share a key")
	require.NotEqual(t, leaf.SerialNumber, otherPair.Leaf.SerialNumber)
}

func TestIssueRefuses(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	i := NewIssuer(a, "cluster.local")
	for _, sa := range []string{"admin\x00", "*", "a\nb", "a,b", "", "a/b"} {
		res, _, err := i.Issue(t.Context(), meshid.Identity{Namespace: "ns", ServiceAccount: sa})
		require.Error(t, err, "%q", sa)
		require.Nil(t, res)
		require.Equal(t, errcode.IssuingCert, errcode.Of(err))
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := i.Issue(cancelled, bookbuyer)
	require.ErrorIs(t, err, context.Canceled)

	c.advance(pki.RootValidity)
	_, _, err = i.Issue(t.Context(), bookbuyer)
	require.ErrorContains(t, err, "in Secret osm-system/osm-ca-bundle expired at")
}

// A root that ends soon must not make every certificate due at once.
func TestIssueUnderADyingRoot(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	c.advance(pki.RootValidity - time.Hour)
	i := NewIssuer(a, "cluster.local")
	res, renew, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	_, pair := decode(t, res)
	require.Equal(t, a.RootNotAfter(), pair.Leaf.NotAfter)
	require.Equal(t, a.RootNotAfter(), renew)
	again, ok := i.Current(bookbuyer, res.Version)
	require.True(t, ok)
	require.Equal(t, a.RootNotAfter(), again)
}

func TestCurrent(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	i := NewIssuer(a, "cluster.local")
	res, _, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	id := a.RootID()
	at := func(d time.Duration) string { return id + "." + strconv.FormatInt(certtest.Now.Add(d).Unix(), 10) }
	tests := map[string]struct {
		version string
		want    bool
	}{
		"issued here":            {res.Version, true},
		"half its life over":     {at(11 * time.Hour), true},
		"expired":                {at(0), false},
		"replica's clock ahead":  {at(24*time.Hour + 2*time.Minute), true},
		"lives too long":         {at(48 * time.Hour), false},
		"another root":           {strings.Repeat("0", 16) + at(time.Hour)[16:], false},
		"no root":                {at(time.Hour)[16:], false},
		"empty":                  {"", false},
		"no end":                 {id + ".", false},
		"end is no number":       {id + ".x", false},
		"end beyond 64 bits":     {id + ".99999999999999999999", false},
		"end before the epoch":   {id + ".-1", false},
		"largest possible end":   {id + ".9223372036854775807", false},
		"trailing text":          {res.Version + " ", false},
		"a trust bundle version": {"0123456789abcdef", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			renew, ok := i.Current(bookbuyer, tt.version)
			require.Equal(t, tt.want, ok)
			require.Equal(t, tt.want, !renew.IsZero())
		})
	}
	renew, ok := i.Current(bookbuyer, at(11*time.Hour))
	require.True(t, ok)
	require.True(t, renew.Before(certtest.Now), "past half its life it is due at once")
}

func TestSetValidity(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	i := NewIssuer(a, "cluster.local")
	long, _, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)

	unchanged := i.Changed()
	require.NoError(t, i.SetValidity("24h"))
	select {
	case <-unchanged:
		require.Fail(t, "the same validity again is no change")
	default:
	}
	require.ErrorContains(t, i.SetValidity("1m"), "below the minimum")
	<-unchanged
	short, renew, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	_, pair := decode(t, short)
	require.Equal(t, certtest.Now.Add(10*time.Minute), pair.Leaf.NotAfter)
	require.WithinRange(t, renew, certtest.Now.Add(4*time.Minute), certtest.Now.Add(5*time.Minute))
	_, ok := i.Current(bookbuyer, long.Version)
	require.False(t, ok, "a certificate that outlives the new validity must be replaced")
	_, ok = i.Current(bookbuyer, short.Version)
	require.True(t, ok)
}

// An impostor with a good mesh certificate of another identity must not pass for a service: the client checks the name.
func TestImpostorIsRefused(t *testing.T) {
	a := open(t, fake.NewClientset(), newClock(time.Now()))
	i := NewIssuer(a, "cluster.local")
	dial := func(server, expect meshid.Identity) error {
		res, _, err := i.Issue(t.Context(), server)
		require.NoError(t, err)
		_, pair := decode(t, res)
		clientSide, serverSide := net.Pipe()
		defer clientSide.Close()
		defer serverSide.Close()
		go func() {
			_ = tls.Server(serverSide, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		}()
		return tls.Client(clientSide, &tls.Config{RootCAs: pool(t, a.TrustBundle()), ServerName: expect.Principal("cluster.local")}).Handshake()
	}
	store := meshid.Identity{Namespace: "bookstore", ServiceAccount: "bookstore"}
	require.NoError(t, dial(store, store))
	var wrong x509.HostnameError
	require.ErrorAs(t, dial(bookbuyer, store), &wrong)
}

// The key must be in the resource and nowhere in what is logged or counted.
func TestIssueCountsAndKeepsQuiet(t *testing.T) {
	var log bytes.Buffer
	seen := &countingObserver{}
	cfg := testConfig(fake.NewClientset(), newClock(certtest.Now))
	cfg.Log, cfg.Metrics = jsonLogger(&log), seen
	a, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	_, _, err = NewIssuer(a, "cluster.local").Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	require.EqualValues(t, 1, seen.issued.Load())
	require.NotContains(t, log.String(), "PRIVATE KEY")
	require.Contains(t, log.String(), "made a new root certificate")
}

type countingObserver struct{ issued atomic.Int32 }

func (o *countingObserver) CertIssued(d time.Duration) {
	if d > 0 {
		o.issued.Add(1)
	}
}

// The bar is 2,000 certificates per second and core. The figure counts processor time, so that a busy machine does not
// spoil it: go test -run xxx -bench Issue
func BenchmarkIssue(b *testing.B) {
	a := open(b, fake.NewClientset(), newClock(certtest.Now))
	i := NewIssuer(a, "cluster.local")
	runtime.GC()
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		if _, _, err := i.Issue(context.Background(), bookbuyer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-start).Seconds(), "certs/core-s")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
