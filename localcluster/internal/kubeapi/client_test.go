package kubeapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"

	"openservicemesh.io/osm/localcluster/internal/pki"
)

// server starts an API server of canned answers which demands our certificate.
func server(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.LoadOrCreateCA(dir, "ca", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(pki.Leaf{File: "admin", CommonName: "admin", Hosts: []string{"127.0.0.1"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c, err := New("https://127.0.0.1:"+port, dir, "admin")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestApply(t *testing.T) {
	var method, uri, contentType, body string
	c := server(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		method, uri, contentType, body = r.Method, r.RequestURI, r.Header.Get("Content-Type"), string(b)
	})
	if err := c.Apply(context.Background(), "/api/v1/x/y", []byte("kind: X")); err != nil {
		t.Fatal(err)
	}
	if method != "PATCH" || uri != "/api/v1/x/y?fieldManager=localcluster&force=true" || contentType != "application/apply-patch+yaml" || body != "kind: X" {
		t.Errorf("%s %s %s %q", method, uri, contentType, body)
	}
}

func TestErrorsSayWhatTheServerSays(t *testing.T) {
	c := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","message":"you may not"}`)
	})
	if err := c.Ready(context.Background()); err == nil || !strings.Contains(err.Error(), "you may not") || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
}

func TestNodeReady(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		ready bool
		why   string
	}{
		"ready":        {`{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-02T03:04:05Z"}]}}`, true, ""},
		"not ready":    {`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network"}]}}`, false, "no network"},
		"unknown":      {`{"status":{"conditions":[{"type":"Ready","status":"Unknown","message":"lost"}]}}`, false, "lost"},
		"only created": {`{}`, false, "not told"},
	} {
		t.Run(name, func(t *testing.T) {
			api := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
			ready, why, beat, err := api.NodeReady(context.Background(), "n")
			if err != nil || ready != c.ready || !strings.Contains(why, c.why) {
				t.Errorf("got %v, %q, %v", ready, why, err)
			}
			if c.ready && beat.Year() != 2026 {
				t.Errorf("heartbeat %v", beat)
			}
		})
	}
}

func TestDeploymentReady(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		ready  bool
	}{
		"available":         {`"observedGeneration":2,"replicas":1,"updatedReplicas":1,"availableReplicas":1`, true},
		"of an older one":   {`"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1`, false},
		"old pod still up":  {`"observedGeneration":2,"replicas":2,"updatedReplicas":1,"availableReplicas":1`, false},
		"not yet available": {`"observedGeneration":2,"replicas":1,"updatedReplicas":1`, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := server(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"metadata":{"generation":2},"spec":{"replicas":1},"status":{`+c.status+`}}`)
			})
			if ready, why, err := api.DeploymentReady(context.Background(), "kube-system", "coredns"); err != nil || ready != c.ready {
				t.Errorf("got %v, %q, %v", ready, why, err)
			}
		})
	}
}

func TestApplyDNSStopsAtTheFirstRefusal(t *testing.T) {
	var paths []string
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		if paths = append(paths, r.URL.Path); len(paths) == 2 {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	if err := c.ApplyDNS(context.Background(), "10.96.0.10", "local/pause:1", "/bin", "/dns"); err == nil || len(paths) != 2 {
		t.Errorf("got %v after %q", err, paths)
	}
}
