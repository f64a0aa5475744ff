package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newCA(t *testing.T, dir string) *CA {
	t.Helper()
	ca, err := LoadOrCreateCA(dir, "test-ca", now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestIssuedCertificateIsGoodForBothSides(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t, dir)
	p, err := ca.Issue(Leaf{File: "x", CommonName: "system:node:n", Organizations: []string{"system:nodes"},
		Hosts: []string{"kubernetes.default", "127.0.0.1", "fd77::1"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(p.Cert, p.Key); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM())
	for _, host := range []string{"kubernetes.default", "127.0.0.1", "fd77::1"} {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s, usage %v: %v", host, usage, err)
			}
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "elsewhere", CurrentTime: now}); err == nil {
		t.Error("good for a host that was not asked for")
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now.Add(LeafValidity + time.Minute)}); err == nil {
		t.Error("good after its end")
	}
	if cert.IsCA || cert.Subject.CommonName != "system:node:n" || cert.Subject.Organization[0] != "system:nodes" {
		t.Errorf("subject %v, CA %v", cert.Subject, cert.IsCA)
	}
	info, err := os.Stat(filepath.Join(dir, "x.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
}

func TestAuthorityStays(t *testing.T) {
	dir := t.TempDir()
	a, b := newCA(t, dir), newCA(t, dir)
	if !a.Cert.Equal(b.Cert) || !a.key.Equal(b.key) {
		t.Error("the second start made another authority")
	}
	if c := newCA(t, t.TempDir()); c.Cert.Equal(a.Cert) {
		t.Error("two clusters share an authority")
	}
}

func TestDamagedAuthority(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"certificate is nonsense": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "ca.crt"), "x") },
		"key is nonsense":         func(t *testing.T, dir string) { write(t, filepath.Join(dir, "ca.key"), "x") },
		"key of another": func(t *testing.T, dir string) {
			other := t.TempDir()
			newCA(t, other)
			b, err := os.ReadFile(filepath.Join(other, "ca.key"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "ca.key"), string(b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			newCA(t, dir)
			damage(t, dir)
			if _, err := LoadOrCreateCA(dir, "test-ca", now); err == nil || !strings.Contains(err.Error(), "localcluster down") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHalfWrittenAuthorityIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.key"), "half a key, from a crash")
	newCA(t, dir)
	newCA(t, dir) // and it can be read again
}

func TestSigningKeyStays(t *testing.T) {
	dir := t.TempDir()
	read := func() []byte {
		if err := EnsureSigningKey(dir, "sa"); err != nil {
			t.Fatal(err)
		}
		k, err1 := os.ReadFile(filepath.Join(dir, "sa.key"))
		p, err2 := os.ReadFile(filepath.Join(dir, "sa.pub"))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		return append(k, p...)
	}
	first := read()
	if err := os.Remove(filepath.Join(dir, "sa.pub")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, read()) {
		t.Error("the second start made another key: all tokens would be void")
	}
	write(t, filepath.Join(dir, "sa.key"), "x")
	if err := EnsureSigningKey(dir, "sa"); err == nil {
		t.Error("a damaged key is taken")
	}
}

func TestKubeconfig(t *testing.T) {
	got := string(Kubeconfig("osm", "https://127.0.0.1:6443", []byte("ca"), Pair{Cert: []byte("crt"), Key: []byte("key")}))
	for _, want := range []string{"server: https://127.0.0.1:6443\n", "certificate-authority-data: Y2E=\n",
		"client-certificate-data: Y3J0\n", "client-key-data: a2V5\n", "current-context: osm\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
