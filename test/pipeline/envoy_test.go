package pipeline

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
)

// perStart is how many configurations one start of Envoy reads: most of the time is the start.
const perStart = 16

// TestEnvoyAccepts has a real Envoy read the whole configuration of every proxy of every case, the ones that are not
// kept included. Equal configurations are read once, several at each start; where Envoy refuses, each is read alone.
func TestEnvoyAccepts(t *testing.T) {
	binary := envoycheck.Binary(t)
	all := configurationsOf(t, caseNames(t))
	require.Greater(t, len(all), 300)
	for part := range slices.Chunk(all, perStart) {
		t.Run(part[0].name+" and more", func(t *testing.T) {
			t.Parallel()
			var list []*bootstrapv3.Bootstrap
			for _, c := range part {
				list = append(list, c.bootstrap)
			}
			merged, err := envoycheck.Merge(list)
			require.NoError(t, err)
			if envoycheck.Validate(t.Context(), binary, t.TempDir(), merged) == nil {
				return
			}
			for _, c := range part {
				require.NoError(t, envoycheck.Validate(t.Context(), binary, t.TempDir(), c.bootstrap), c.name)
			}
			require.Fail(t, "Envoy refuses together what it takes one by one")
		})
	}
}

// TestEnvoyRefusesOneOfMany: read together with good ones, a bad configuration still fails.
func TestEnvoyRefusesOneOfMany(t *testing.T) {
	all := configurationsOf(t, caseNames(t)[:8])[:4]
	bad := all[2].bootstrap.StaticResources.Listeners[0]
	bad.FilterChains = append(bad.FilterChains, bad.FilterChains[0]) // two chains with one match
	var list []*bootstrapv3.Bootstrap
	for _, c := range all {
		list = append(list, c.bootstrap)
	}
	merged, err := envoycheck.Merge(list)
	require.NoError(t, err)
	require.ErrorContains(t, envoycheck.Validate(t.Context(), envoycheck.Binary(t), t.TempDir(), merged), "has the same matching rules")
}

// configuration is that of one proxy of a case.
type configuration struct {
	name      string
	bootstrap *bootstrapv3.Bootstrap
}

// configurationsOf lists the different configurations of all proxies of some cases.
func configurationsOf(t *testing.T, cases []string) []configuration {
	t.Helper()
	ca := newAuthority(t)
	cert := ca.issue(t, "any.any.cluster.local")
	var out []configuration
	seen := map[string]bool{}
	for _, name := range cases {
		c := readCase(t, name)
		view, err := pipeline.New(ca.bundle).Apply(c.snap, snapshot.Changed{Config: true})
		require.NoError(t, err)
		for _, p := range c.mesh.Proxies() {
			set := view.Config(p.Key)
			require.NotNil(t, set, "%s: %s", name, p.Key)
			if seen[set.Version] || len(set.List(envoy.Listener)) == 0 {
				continue
			}
			seen[set.Version] = true
			b, err := envoycheck.Static(set, view.Endpoints, cert)
			require.NoError(t, err)
			out = append(out, configuration{name + "/" + p.Identity().String(), b})
		}
	}
	return out
}

// authority signs certificates for one test run.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	bundle []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert: cert, key: key, bundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue makes a workload's certificate: its name is the common name and the only DNS name.
func (a *authority) issue(t *testing.T, principal string) envoycheck.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: principal}, DNSNames: []string{principal},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return envoycheck.Certificate{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}
