package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/sim"
)

// randomCall is one line for `osm-meshtest calls`.
type randomCall struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
}

const callsOfEach = 60

// TestExplainAgreesWithEnvoy makes random calls for real, in each mode and from callers that may do different things, and
// asks `osm policy explain`'s engine about each: both must say the same end.
func TestExplainAgreesWithEnvoy(t *testing.T) {
	walkthroughMesh(t)
	applyMatrix(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	made := 0
	for _, mode := range []struct{ name, patch string }{
		{"SMI, egress off", `{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":false}}}`},
		{"SMI, egress on", `{"spec":{"traffic":{"enableEgress":true}}}`},
		{"permissive", `{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":true}}}`},
	} {
		t.Run(mode.name, func(t *testing.T) {
			patchMesh(t, mode.patch)
			asked := liveMesh(t).mesh
			for _, from := range []string{"foo", "anything", "nobody"} {
				list := make([]randomCall, callsOfEach)
				for i := range list {
					list[i] = aCall(random)
				}
				// A change of policy needs a moment to arrive, so the calls have ten seconds to come true.
				eventually(t, 10*time.Second, func() error { return agree(t, asked, from, list) })
				made += len(list)
			}
		})
	}
	t.Logf("%d random calls, each explained as it ended", made)
	if made < 500 {
		t.Errorf("%d calls; want 500", made)
	}
}

// aCall draws a call to the matrix's services: names in every spelling, paths in many, headers and methods.
func aCall(r *rand.Rand) randomCall {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	switch r.IntN(10) {
	case 0, 1:
		return randomCall{URL: "tcp://" + pick("db.matrix", "db.matrix.svc", "db.matrix.svc.cluster.local") + pick(":9000", ":9001")}
	case 2:
		return randomCall{Method: "GET", URL: "http://" + pick("empty.matrix", "empty.matrix.svc.cluster.local") + "/"}
	}
	path := pick("/foo", "/anything", "/nope", "/foo/../anything", "/anything/../foo", "/foo/", "/./foo", "/fo%6f", "/foo%2f..%2fanything",
		"/Foo", "/anything//", "/foo;x=1", "/foobar", "/") + pick("", "", "?q=1", "?/anything")
	c := randomCall{Method: pick("GET", "GET", "POST", "DELETE"), URL: "http://" + pick("web.matrix", "web.matrix.svc", "web.matrix.svc.cluster.local:80") + path}
	switch r.IntN(6) {
	case 0:
		c.Headers = map[string]string{"Host": pick("web.matrix", "WEB.matrix", "web.matrix:80", "db.matrix", "elsewhere.example.com")}
	case 1:
		c.Headers = map[string]string{"X-Envoy-Original-Path": "/foo", "X-Original-Url": "/anything"}
	}
	return c
}

func agree(t *testing.T, asked *explain.Mesh, from string, list []randomCall) error {
	t.Helper()
	var text strings.Builder
	for _, c := range list {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(b, '\n'))
	}
	out := kubectl(t, "exec", "-n", "matrix", from, "-c", "app", "--", "osm-meshtest", "calls", text.String())
	ends := strings.Split(strings.TrimSpace(out), "\n")
	if len(ends) != len(list) {
		return fmt.Errorf("%d calls, %d ends:\n%s", len(list), len(ends), out)
	}
	for i, c := range list {
		if strings.HasPrefix(ends[i], "answered 3") {
			ends[i] = "answered 200" // the application's own answer to a path that it does not find tidy; the mesh never redirects
		}
		v, err := asked.Explain(c.question(t, from))
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if v.Ends != ends[i] {
			return fmt.Errorf("%s: %+v ended %q; explained as %q: %+v", from, c, ends[i], v.Ends, v)
		}
		if v.Allowed != (ends[i] == "answered 200" || ends[i] == "connected") {
			return fmt.Errorf("%s: %+v ended %q; explained as allowed: %v", from, c, ends[i], v.Allowed)
		}
	}
	return nil
}

func (c randomCall) question(t *testing.T, from string) explain.Question {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(c.URL, "http://"), "/")
	u, err := url.Parse("http://" + strings.TrimPrefix(host, "tcp:"))
	if tcp, ok := strings.CutPrefix(c.URL, "tcp://"); ok {
		u, err = url.Parse("tcp://" + tcp)
	}
	if err != nil {
		t.Fatal(err)
	}
	q := explain.Question{From: meshid.Pod{Namespace: "matrix", Name: from}, Host: u.Hostname(), Port: 80}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		q.Port = uint16(n)
	}
	if u.Scheme == "tcp" {
		return q
	}
	q.HTTP = &sim.Request{Method: c.Method, Path: "/" + path, Host: u.Host, Headers: map[string]string{}}
	for name, value := range c.Headers {
		if name == "Host" {
			q.HTTP.Host = value
			continue
		}
		q.HTTP.Headers[strings.ToLower(name)] = value
	}
	return q
}
