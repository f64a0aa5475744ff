package certs

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Issuer makes workload certificates. Its methods may be called concurrently.
type Issuer struct {
	authority   *Authority
	trustDomain meshid.TrustDomain
	validity    atomic.Int64
	// life is how long the last certificate was to live when it was issued: an authority may give less than was asked for.
	life atomic.Int64
}

// NewIssuer returns an issuer whose certificates live for 24h until SetValidity says otherwise.
func NewIssuer(a *Authority, td meshid.TrustDomain) *Issuer {
	i := &Issuer{authority: a, trustDomain: td}
	i.validity.Store(int64(pki.DefaultServiceValidity))
	return i
}

// SetValidity takes MeshConfig's spec.certificate.serviceCertValidityDuration. The value always takes effect in a usable
// form; the error, for the log, says what was changed about it. A change closes Changed, so that certificates which
// now live too long are replaced.
func (i *Issuer) SetValidity(s string) error {
	d, err := pki.ServiceValidity(s)
	i.authority.validity.Store(int64(d))
	if i.validity.Swap(int64(d)) != int64(d) {
		i.authority.signerChanged.fire()
	}
	return err
}

// Changed returns a channel that is closed when certificates are to be issued anew: another root signs, or certificates
// live for another time.
func (i *Issuer) Changed() <-chan struct{} { return i.authority.signerChanged.next() }

// Issue makes a new key and certificate for one pod of id, as the SDS secret service-cert:<ns>/<sa>. The resource holds the only
// copy of the key. Its version is "<root id>.<end in Unix seconds>", which Current understands on every replica.
func (i *Issuer) Issue(ctx context.Context, id meshid.Identity) (*envoy.Resource, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	validity := time.Duration(i.validity.Load())
	l, err := i.authority.issueSettled(ctx, validity, func(w pki.Window) (*x509.Certificate, error) {
		return pki.Workload(id, i.trustDomain, w)
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	res, err := resource(l, names.SecretServiceCert(id))
	if err != nil {
		return nil, time.Time{}, errcode.Errorf(errcode.IssuingCert, "cannot encode the certificate of %s: %w", id, err)
	}
	i.life.Store(int64(i.authority.life(l)))
	return res, renewAt(l.Root, l.NotAfter, i.lifetime(), rand.Float64()), nil
}

// lifetime is how long certificates live from their issue on: what MeshConfig asks for, or less if the authority gives less.
func (i *Issuer) lifetime() time.Duration {
	validity, life := time.Duration(i.validity.Load()), time.Duration(i.life.Load())
	if life > 0 {
		return min(validity, life)
	}
	return validity
}

// Current reports whether a certificate that Issue of any replica gave the version to is still good, and when it should be
// renewed (an instant that may have passed). It is not when it expired, when its root no longer signs, or when it
// would outlive what MeshConfig now allows. The version may come from a proxy: it is trusted for nothing else.
func (i *Issuer) Current(_ meshid.Identity, version string) (time.Time, bool) {
	id, notAfter, ok := ParseVersion(version)
	t := i.authority.trust.Load()
	if !ok || !t.accepts(id) {
		return time.Time{}, false
	}
	r := t.signer
	if id != r.ID {
		r = t.next
	}
	validity, now := time.Duration(i.validity.Load()), i.authority.now()
	if !now.Before(notAfter) || notAfter.After(now.Add(validity+pki.Backdate)) {
		return time.Time{}, false
	}
	return renewAt(r.Cert, notAfter, i.lifetime(), rand.Float64()), true
}

// ParseVersion takes a version that Issue gave apart: the id of the root that signed the certificate, and its end.
func ParseVersion(version string) (rootID string, notAfter time.Time, ok bool) {
	id, end, found := strings.Cut(version, ".")
	unix, err := strconv.ParseInt(end, 10, 64)
	if !found || err != nil {
		return "", time.Time{}, false
	}
	return id, time.Unix(unix, 0).UTC(), true
}

func version(l *signer.Leaf) string {
	return pki.RootID(l.Root.Raw) + "." + strconv.FormatInt(l.NotAfter.Unix(), 10)
}

func resource(l *signer.Leaf, name string) (*envoy.Resource, error) {
	key, err := l.KeyPEM()
	if err != nil {
		return nil, err
	}
	res, err := envoy.NewResource(envoy.Secret, name, &tlsv3.Secret{
		Name: name,
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(l.PEM()),
			PrivateKey:       inline(key),
		}},
	})
	if err != nil {
		return nil, err
	}
	res.Version = version(l)
	return res, nil
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
