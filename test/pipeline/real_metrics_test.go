package pipeline

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/scrape"
)

// figuresMesh is a mesh whose server shows metrics of its own at a path.
func figuresMesh(t *testing.T) *realMesh {
	t.Helper()
	own, warnings := scrape.Announce(map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "1", "prometheus.io/path": "/own%20path;x='1'"}, nil)
	require.Empty(t, warnings)
	var list []string
	for key, value := range own {
		list = append(list, key+": "+strconv.Quote(strings.Replace(value, `"port":1`, `"port":PORT_FIGURES`, 1)))
	}
	m := newAnnotatedRealMesh(t, false, "", strings.Join(list, ", "))
	m.admin = map[string]int{"shop.shop": m.ports["PORT_ADMIN"]}
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	return m
}

// application answers at the port of its metrics, with a handler that may be replaced.
func (m *realMesh) application(t *testing.T) *http.HandlerFunc {
	t.Helper()
	var handler http.HandlerFunc
	l, err := net.Listen("tcp", m.addr("127.0.0.1", "PORT_FIGURES"))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r) }))
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return &handler
}

// scraped is what Prometheus gets, read by its own rules: a line that it does not understand fails the test.
func (m *realMesh) scraped(t *testing.T, headers ...string) (figures map[string]float64, text string, took time.Duration) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+m.addr("127.0.88.1", "PORT_METRICS")+"/stats/prometheus", nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	took = time.Since(begin)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, []string{"text/plain; version=0.0.4; charset=utf-8"}, resp.Header["Content-Type"])
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	require.NoError(t, err)
	figures = map[string]float64{}
	for name, f := range families {
		for _, metric := range f.Metric {
			var labels []string
			for _, l := range metric.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			figures[strings.TrimSuffix(name+" "+strings.Join(labels, " "), " ")] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue()
		}
	}
	require.Equal(t, 1.0, figures["envoy_server_live"], "the sidecar's own figures are there whatever the application does")
	return figures, string(body), took
}

const isUp = "osm_application_metrics_up"

// TestRealApplicationMetrics: one scrape gets the figures of Envoy and those of the application, which is asked as Prometheus
// would ask it.
func TestRealApplicationMetrics(t *testing.T) {
	m := figuresMesh(t)
	handler := m.application(t)
	requests := make(chan *http.Request, 100)
	*handler = func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, "# HELP books Books, \"sold\" \u00e9.\n# TYPE books counter\nbooks{title=\"a \\\"b\\\" \\\\ c}\",by=\"\u4e16\U0001F600\"} 2.5e+06 1700000000000\n\nheat -Inf\nlight NaN")
	}
	got, text, _ := m.scraped(t, "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.1", "Accept-Encoding", "gzip", "Host", "evil")
	require.Equal(t, 2.5e6, got[`books by=世😀 title=a "b" \ c}`], text)
	require.Equal(t, 1.0, got[isUp])
	r := <-requests
	require.Equal(t, "/own%20path;x='1'", r.RequestURI)
	require.Equal(t, "GET localhost HTTP/1.1", r.Method+" "+r.Host+" "+r.Proto)
	require.Equal(t, "text/plain;version=0.0.4", r.Header.Get("Accept"))
	require.Empty(t, r.Header.Get("Accept-Encoding"))

	// Nothing but the one page has the application asked, and what was asked does not reach it.
	for _, p := range []string{"/", "/metrics", "/own%20path;x='1'", "/config_dump", "/stats/prometheus/../../config_dump", "/stats/prometheus/x"} {
		code, _ := raw(t, m.addr("127.0.88.1", "PORT_METRICS"), "GET", p, "x")
		require.NotEqual(t, 200, code, p)
	}
	code, _ := raw(t, m.addr("127.0.88.1", "PORT_METRICS"), "POST", "/stats/prometheus", "x")
	require.NotEqual(t, 200, code)
	require.Empty(t, requests)
}

// TestRealApplicationWithoutMetrics: whatever the application does, Prometheus gets the sidecar's figures, in time, in a form
// that it can read, and a figure that tells.
func TestRealApplicationWithoutMetrics(t *testing.T) {
	m := figuresMesh(t)
	got, _, _ := m.scraped(t)
	require.Contains(t, got, isUp+" reason=status_503", "nobody listens")
	handler := m.application(t)
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, body)
		}
	}
	typed := func(kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, "a 1\n")
		}
	}
	line := `a_metric_of_usual_length{code="200",method="get",handler="/api/v1/books"} 12345.5` + "\n"
	cases := map[string]struct {
		handler http.HandlerFunc
		reason  string
	}{
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status_500"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "status_302"},
		"no answer":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
		"half of it": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "a 1\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "incomplete"},
		"without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, line)
			}
		}, "incomplete"},
		"OpenMetrics":        {typed("application/openmetrics-text; version=1.0.0"), "format"},
		"a web page":         {typed("text/html"), "format"},
		"JSON as text":       {text(`{"a": 1}`), "format"},
		"as large as may be": {text(strings.Repeat(line, (2<<20)/len(line))), ""},
		"nothing":            {text(""), ""},
		"a comment":          {text("# anything \u00e9\n"), ""},
	}
	for i, bad := range []string{
		"hello\n", "a\n", "a b\n", "a 1 2 3\n", "a 1 x\n", "a{ 1\n", "a{b} 1\n", "a{b=c} 1\n", `a{b="c} 1`, `a{b="c"d="e"} 1`, `a{b="\x"} 1`, `a{b="c"} 1 # {d="e"} 2`, "1a 1\n", "a-b 1\n", "a{b-c=\"d\"} 1\n", "a 1\r\n",
		"a 0x1p\n", "a 1e\n", "a --1\n", "a 1.5.2\n", "a nan(x)\n", "a{}1 x", "# TYPE a nonsense\na 1\n", "# TYPE a\na 1\n", "# TYPE 1a counter\n", "# HELP 1a x\n", "a{b=\"\xff\"} 1\n", "a{b=\"\xed\xa0\x80\"} 1\n",
		"a{b=\"\xc0\xaf\"} 1\n", "a{b=\"\xf4\x90\x80\x80\"} 1\n", "a 1\x00\n", "\x1b[1ma 1\n", "good 1\nbad\ngood 2\n", "<html></html>", "{\"a\"} 1\n",
	} {
		cases[fmt.Sprintf("nonsense %d %q", i, bad)] = struct {
			handler http.HandlerFunc
			reason  string
		}{text(bad), "format"}
	}
	for name, c := range cases {
		*handler = c.handler
		got, _, took := m.scraped(t)
		require.Less(t, took, 8*time.Second, name)
		if c.reason == "" {
			require.Contains(t, got, isUp, name)
			continue
		}
		value, told := got[isUp+" reason="+c.reason]
		require.True(t, told && value == 0, "%s: want reason %s in %v", name, c.reason, got[isUp])
		require.NotContains(t, got, "a", name)
	}
}

// TestRealApplicationMetricsCostNoMemory: a sidecar that is scraped and scraped holds what it held.
func TestRealApplicationMetricsCostNoMemory(t *testing.T) {
	m := figuresMesh(t)
	handler := m.application(t)
	big := strings.Repeat("a_metric{code=\"200\"} 12345.5\n", 10_000)
	*handler = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, big) }
	held := func() int {
		resp, err := http.Get("http://" + m.admins["shop.shop"] + "/stats?filter=server.memory_physical_size")
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_, value, _ := strings.Cut(strings.TrimSpace(string(body)), ": ")
		n, err := strconv.Atoi(value)
		require.NoError(t, err)
		return n
	}
	scrapes := func(n int) {
		for range n {
			resp, err := http.Get("http://" + m.addr("127.0.88.1", "PORT_METRICS") + "/stats/prometheus")
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			resp.Body.Close()
		}
	}
	scrapes(50)
	before := held()
	scrapes(200)
	after := held()
	t.Logf("held %d bytes after 50 scrapes of %d bytes, %d after 250", before, len(big), after)
	require.Less(t, after, before+8<<20)
}
