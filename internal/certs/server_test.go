package certs

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/core/pki"
)

func jsonLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

func TestServerCertRenewsItself(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	s, err := a.ServerCert(t.Context(), "osm-injector.osm-system.svc")
	require.NoError(t, err)
	get := func() *tls.Certificate {
		got, err := s.GetCertificate(nil)
		require.NoError(t, err)
		return got
	}
	first := get()
	require.Equal(t, "osm-injector.osm-system.svc", first.Leaf.Subject.CommonName)
	c.advance(9 * time.Hour)
	require.Same(t, first, get(), "renewed before 40 % of its life")
	c.advance(4 * time.Hour)
	second := get()
	require.NotEqual(t, first.Leaf.SerialNumber, second.Leaf.SerialNumber)
	require.Equal(t, certtest.Now.Add(37*time.Hour), second.Leaf.NotAfter)
	require.True(t, first.Leaf.NotAfter.After(second.Leaf.NotBefore), "both must be valid for a while")

	// A machine that slept: the wall clock jumps, far beyond the end.
	c.advance(100 * 24 * time.Hour)
	require.True(t, get().Leaf.NotAfter.After(c.now()))
	// A clock set back to before the certificate began.
	c.advance(-50 * 24 * time.Hour)
	require.True(t, get().Leaf.NotBefore.Before(c.now()))
}

func TestServerCertServesOnWhileRenewalFails(t *testing.T) {
	c := newClock(certtest.Now)
	a := open(t, fake.NewClientset(), c)
	c.advance(pki.RootValidity - 2*time.Hour)
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	first, err := s.GetCertificate(nil)
	require.NoError(t, err)
	c.advance(119 * time.Minute)
	again, err := s.GetCertificate(nil)
	require.NoError(t, err)
	require.Same(t, first, again)
	c.advance(2 * time.Minute)
	_, err = s.GetCertificate(nil)
	require.ErrorContains(t, err, "expired at")
}

func TestServerCertRefusesOddNames(t *testing.T) {
	a := open(t, fake.NewClientset(), newClock(certtest.Now))
	for _, names := range [][]string{nil, {"*.osm-system.svc"}, {"a\x00.svc"}, {"ok.svc", "a b"}} {
		_, err := a.ServerCert(t.Context(), names...)
		require.Error(t, err, "%q", names)
	}
}

// Handshakes go on from all sides while the certificate is renewed and the root is replaced: none may fail.
func TestNoHandshakeFailsWhileRotating(t *testing.T) {
	_, oldData := certtest.NewCA(t, "old")
	_, newData := certtest.NewCA(t, "new")
	client, c := fake.NewClientset(caSecret(oldData)), newClock(certtest.Now)
	cfg := testConfig(client, c)
	cfg.Overlap = 3 * time.Second // far longer than a busy machine holds a handshake up
	cfg.Log = slog.New(slog.DiscardHandler)
	a, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	run(t, a, client)
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: s.GetCertificate, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake(); _ = conn.Close() }()
		}
	}()

	var stop atomic.Bool
	var done, failed atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				// The bundle is fetched once and used for a while, as a proxy does.
				roots, until := pool(t, a.TrustBundle()), time.Now().Add(20*time.Millisecond)
				for time.Now().Before(until) {
					if handshake(ln.Addr(), &tls.Config{RootCAs: roots, ServerName: "ads.cluster.local", Time: c.now}) != nil {
						failed.Add(1)
					}
					done.Add(1)
				}
			}
		})
	}
	oldID := a.RootID()
	update(t, client, newData)
	for a.RootID() == oldID {
		c.advance(time.Minute) // through more than one renewal
		time.Sleep(2 * time.Millisecond)
	}
	before := done.Load()
	require.Eventually(t, func() bool { return done.Load() > before+8 }, 30*time.Second, time.Millisecond)
	stop.Store(true)
	clients.Wait()
	require.Zero(t, failed.Load(), "of %d handshakes", done.Load())
	require.Greater(t, before, int64(8))
}

func handshake(addr net.Addr, cfg *tls.Config) error {
	conn, err := tls.Dial(addr.Network(), addr.String(), cfg)
	if err != nil {
		return err
	}
	return conn.Close()
}
