package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Validity of what this package issues.
const (
	CAValidity   = 10 * 365 * 24 * time.Hour
	LeafValidity = 365 * 24 * time.Hour
	// backdate absorbs clock steps between machine start and time service.
	backdate = time.Hour
)

// CA is a certificate authority with its key.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

// Leaf describes one certificate; it is both for servers and for clients.
type Leaf struct {
	// File is the base name: File.crt and File.key are written.
	File string
	// CommonName and Organizations are user and groups for Kubernetes.
	CommonName    string
	Organizations []string
	// Hosts are DNS names and addresses.
	Hosts []string
}

// Pair is a PEM encoded certificate with its key.
type Pair struct{ Cert, Key []byte }

// LoadOrCreateCA reads ca.crt and ca.key from dir, or makes them when neither is
// there. A pair that is half there or does not fit together is an error.
func LoadOrCreateCA(dir, commonName string, now time.Time) (*CA, error) {
	crt, err1 := os.ReadFile(filepath.Join(dir, "ca.crt"))
	key, err2 := os.ReadFile(filepath.Join(dir, "ca.key"))
	if errors.Is(err1, fs.ErrNotExist) || errors.Is(err2, fs.ErrNotExist) {
		return createCA(dir, commonName, now)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	cert, err1 := parseCert(crt)
	k, err2 := parseKey(key)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("authority in %s is damaged: %w; remove the cluster with `localcluster down`", dir, err)
	}
	if !k.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("authority in %s is damaged: key and certificate do not belong together; remove the cluster with `localcluster down`", dir)
	}
	return &CA{Cert: cert, key: k, dir: dir}, nil
}

func createCA(dir, commonName string, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(CAValidity),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	ca := &CA{Cert: cert, key: key, dir: dir}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	// The key first: LoadOrCreateCA starts over when the certificate is missing.
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.key"), keyPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "ca.crt"), ca.PEM(), 0o644)); err != nil {
		return nil, fmt.Errorf("write the authority: %w", err)
	}
	return ca, nil
}

// PEM is the authority's certificate.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Cert.Raw})
}

// Issue makes a key and a certificate and writes both to the authority's folder.
func (c *CA) Issue(l Leaf, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make key %s: %w", l.File, err)
	}
	serial, err := newSerial()
	if err != nil {
		return Pair{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: l.CommonName, Organization: l.Organizations},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(LeafValidity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range l.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.Cert, &key.PublicKey, c.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate %s: %w", l.File, err)
	}
	p := Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if p.Key, err = encodeKey(key); err != nil {
		return Pair{}, err
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(c.dir, l.File+".key"), p.Key, 0o600),
		os.WriteFile(filepath.Join(c.dir, l.File+".crt"), p.Cert, 0o644)); err != nil {
		return Pair{}, fmt.Errorf("write certificate %s: %w", l.File, err)
	}
	return p, nil
}

// EnsureSigningKey makes file.key and file.pub, the key pair of service-account
// tokens, unless they are there: tokens stay valid over restarts.
func EnsureSigningKey(dir, file string) error {
	keyPath, pubPath := filepath.Join(dir, file+".key"), filepath.Join(dir, file+".pub")
	b, err := os.ReadFile(keyPath)
	var key *ecdsa.PrivateKey
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return fmt.Errorf("make key %s: %w", file, err)
		}
		if b, err = encodeKey(key); err != nil {
			return err
		}
		if err := os.WriteFile(keyPath, b, 0o600); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if key, err = parseKey(b); err != nil {
			return fmt.Errorf("key %s is damaged: %w; remove the cluster with `localcluster down`", keyPath, err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", file, err)
	}
	return os.WriteFile(pubPath, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func encodeKey(k *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func parseCert(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no PEM block in the certificate file")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no PEM block in the key file")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}
