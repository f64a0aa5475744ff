package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"

	"openservicemesh.io/osm/internal/obs/errcode"
)

type counter struct {
	Discard
	code    errcode.Code
	allowed bool
	kind    string
}

func (c *counter) Failure(code errcode.Code) { c.code = code }
func (c *counter) AdmissionResponse(kind string, allowed bool, _ time.Duration) {
	c.kind, c.allowed = kind, allowed
}

const good = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","kind":{"kind":"Pod"}}}`

func TestRequestsThatGetNoReview(t *testing.T) {
	reviewed := false
	log := slog.New(slog.DiscardHandler)
	for name, tc := range map[string]struct {
		method, contentType, body string
		status                    int
		code                      errcode.Code
	}{
		"get":            {"GET", "application/json", good, 405, errcode.DecodingAdmissionRequest},
		"no type":        {"POST", "", good, 415, errcode.InvalidAdmissionContentType},
		"yaml":           {"POST", "application/yaml", good, 415, errcode.InvalidAdmissionContentType},
		"empty":          {"POST", "application/json", "", 400, errcode.NilAdmissionBody},
		"no json":        {"POST", "application/json", "{", 400, errcode.DecodingAdmissionRequest},
		"array":          {"POST", "application/json", "[]", 400, errcode.DecodingAdmissionRequest},
		"deep":           {"POST", "application/json", strings.Repeat("[", 1<<20), 400, errcode.DecodingAdmissionRequest},
		"old version":    {"POST", "application/json", strings.Replace(good, "/v1", "/v1beta1", 1), 400, errcode.DecodingAdmissionRequest},
		"without inside": {"POST", "application/json", `{"apiVersion":"admission.k8s.io/v1"}`, 400, errcode.NilAdmissionRequest},
		"too large":      {"POST", "application/json", `{"a":"` + strings.Repeat("x", maxBody) + `"}`, 413, errcode.ReadingAdmissionBody},
	} {
		t.Run(name, func(t *testing.T) {
			var c counter
			h := Review(log, &c, func(context.Context, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
				reviewed = true
				return Allow()
			})
			r := httptest.NewRequest(tc.method, "/", strings.NewReader(tc.body))
			if tc.contentType != "" {
				r.Header.Set("Content-Type", tc.contentType)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tc.status, w.Code, w.Body.String())
			require.Equal(t, tc.code, c.code)
			require.False(t, reviewed)
			require.Less(t, w.Body.Len(), 300)
		})
	}
}

func TestReviewAnswersWithTheRequestsUID(t *testing.T) {
	var c counter
	h := Review(slog.New(slog.DiscardHandler), &c, func(_ context.Context, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		require.Equal(t, "Pod", r.Kind.Kind)
		return Deny(errcode.Errorf("E1", "no"))
	})
	r := httptest.NewRequest("POST", "/", strings.NewReader(good))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got admissionv1.AdmissionReview
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, "admission.k8s.io/v1", got.APIVersion)
	require.EqualValues(t, "u1", got.Response.UID)
	require.False(t, got.Response.Allowed)
	require.Equal(t, "no", got.Response.Result.Message)
	require.Equal(t, "Pod", c.kind)
}

func TestPanicCostsOneRequest(t *testing.T) {
	h := Review(slog.New(slog.DiscardHandler), Discard{}, func(context.Context, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		panic("boom")
	})
	r := httptest.NewRequest("POST", "/", strings.NewReader(good))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "boom")
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","request":{"object":{"a":[1,2]}}}`))
	h := Review(slog.New(slog.DiscardHandler), Discard{}, func(_ context.Context, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return Allow()
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && (w.Code < 400 || w.Code > 499) {
			t.Fatalf("status %d for %q", w.Code, body)
		}
	})
}

// Certificates change under load and no handshake fails; requests in flight survive the end of the server.
func TestServeRotatesAndDrains(t *testing.T) {
	var current atomic.Pointer[tls.Certificate]
	current.Store(selfSigned(t))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.NewServeMux()
	h.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	h.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, ln, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }, slog.New(slog.DiscardHandler), h)
	}()
	url := "https://" + ln.Addr().String()
	seen := map[string]bool{}
	for i := range 40 {
		if i%10 == 5 {
			current.Store(selfSigned(t))
		}
		fresh := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := fresh.Get(url)
		require.NoError(t, err)
		seen[resp.TLS.PeerCertificates[0].SerialNumber.String()] = true
		_ = resp.Body.Close()
	}
	require.Len(t, seen, 5)

	got := make(chan string, 1)
	go func() {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := c.Get(url + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-entered
	cancel()
	time.Sleep(50 * time.Millisecond)
	close(release)
	require.Equal(t, "done", <-got)
	require.NoError(t, <-ended)
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
