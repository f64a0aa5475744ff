package pipeline

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/pipeline"
)

// TestExplain asks about every call of every case: the explanation ends as the case says, a denial has a reason, and the
// policy that is offered, added to the case's own objects, lets the call through.
func TestExplain(t *testing.T) {
	asked, cured := 0, 0
	for _, name := range caseNames(t) {
		text, err := os.ReadFile(filepath.Join("testdata", name, "calls.yaml"))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		var calls []call
		require.NoError(t, yaml.UnmarshalStrict(text, &calls), "%s", name)
		w := newWorld(t, readCase(t, name))
		for _, c := range calls {
			if c.From == "outside" || c.To != "" || c.Around != (sim.Around{}) || c.SNI != "" && c.SNI != c.host(t) {
				continue
			}
			q := w.question(t, c)
			v, err := w.asked.Explain(q)
			require.NoError(t, err, "%s: %+v", name, c)
			asked++
			want := c.Want
			if want == "passthrough" && v.Ends == "reset" {
				want = "reset" // the simulator of one side stops where the connection leaves it
			}
			if c.Pick == 0 {
				require.Equal(t, want, v.Ends, "%s: %+v: %+v", name, c, v)
			}
			if v.Allowed {
				require.NotEmpty(t, v.Because, "%s: %+v", name, c)
				continue
			}
			require.NotEmpty(t, v.Missing, "%s: %+v", name, c)
			if len(v.Policy) > 0 {
				require.True(t, curedBy(t, name, q, v.Policy), "%s: %+v: %v", name, c, v.Missing)
				cured++
			}
		}
	}
	t.Logf("%d calls explained, %d of them denied for want of a policy, which was offered and helps", asked, cured)
	require.Greater(t, asked, 150)
	require.Greater(t, cured, 30)
}

func (c call) host(t *testing.T) string {
	t.Helper()
	if c.HTTP != "" {
		return c.url(t).Hostname()
	}
	host, _, _ := strings.Cut(c.TCP, ":")
	return host
}

func (w *world) question(t *testing.T, c call) explain.Question {
	t.Helper()
	p, err := w.mesh.Find(c.From)
	require.NoError(t, err)
	namespace, pod, _ := strings.Cut(p.Pods[0], "/")
	q := explain.Question{From: meshid.Pod{Namespace: namespace, Name: pod}, Host: c.host(t), HTTP: c.request(t), TLS: c.TLS, Port: 80}
	port := ""
	if c.HTTP != "" {
		port = c.url(t).Port()
	} else if to, err := netip.ParseAddrPort(c.TCP); err == nil {
		q.Host, port = to.Addr().String(), strconv.Itoa(int(to.Port()))
	} else {
		_, port, _ = strings.Cut(c.TCP, ":")
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		require.NoError(t, err)
		q.Port = uint16(n)
	}
	return q
}

// curedBy asks the question again of the case with more objects.
func curedBy(t *testing.T, name string, q explain.Question, policy []snapshot.Object) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name, "in.yaml"))
	require.NoError(t, err)
	docs := [][]byte{text}
	for _, o := range policy {
		doc, err := yaml.Marshal(o)
		require.NoError(t, err)
		docs = append(docs, doc)
	}
	read, err := manifests.Read(name, bytes.NewReader(bytes.Join(docs, []byte("\n---\n"))), manifests.Options{})
	require.NoError(t, err)
	view, err := pipeline.New([]byte("roots")).Apply(read.Snapshot, snapshot.Changed{Config: true})
	require.NoError(t, err)
	v, err := explain.New(view).Explain(q)
	require.NoError(t, err)
	if !v.Allowed {
		t.Logf("with the policy: %+v", v)
	}
	return v.Allowed
}
