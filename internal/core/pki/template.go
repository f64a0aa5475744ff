package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"time"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Templates leave SerialNumber nil: x509.CreateCertificate then draws a random one of RFC 5280's form.

// Root is the template of a self-signed root that is valid from now.
func Root(now time.Time) *x509.Certificate {
	w := NewWindow(now, RootValidity, time.Time{})
	return &x509.Certificate{
		Subject: pkix.Name{
			CommonName:   RootCommonName,
			Country:      []string{rootCountry},
			Locality:     []string{rootLocality},
			Organization: []string{Organization},
		},
		NotBefore: w.NotBefore, NotAfter: w.NotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// Cross is the template of a certificate by which one root certifies another's key: it is valid while both are.
func Cross(next, by *x509.Certificate) *x509.Certificate {
	notBefore, notAfter := next.NotBefore, next.NotAfter
	if by.NotBefore.After(notBefore) {
		notBefore = by.NotBefore
	}
	if by.NotAfter.Before(notAfter) {
		notAfter = by.NotAfter
	}
	return &x509.Certificate{
		RawSubject: next.RawSubject, SubjectKeyId: next.SubjectKeyId, AuthorityKeyId: by.SubjectKeyId,
		NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// Workload is the template of one pod's certificate. Its names come from the authenticated identity alone.
func Workload(id meshid.Identity, td meshid.TrustDomain, w Window) (*x509.Certificate, error) {
	principal, err := Principal(id, td)
	if err != nil {
		return nil, err
	}
	return leaf([]string{principal}, w), nil
}

// Server is the template of a certificate of the control plane itself; the first name is also the common name.
func Server(names []string, w Window) (*x509.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("server certificate: want at least one name")
	}
	for _, n := range names {
		if err := CheckDNSName(n); err != nil {
			return nil, err
		}
	}
	return leaf(names, w), nil
}

func leaf(names []string, w Window) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName(names[0]), Organization: []string{Organization}},
		DNSNames:  names,
		NotBefore: w.NotBefore, NotAfter: w.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// RootID names a root by its content: the first 16 hexadecimal digits of the SHA-256 of its DER form.
func RootID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}
