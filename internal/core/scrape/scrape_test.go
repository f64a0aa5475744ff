package scrape

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

func containers(ports ...int32) []corev1.Container {
	app := corev1.Container{Name: "app"}
	for _, p := range ports {
		app.Ports = append(app.Ports, corev1.ContainerPort{ContainerPort: p})
	}
	app.Ports = append(app.Ports, corev1.ContainerPort{ContainerPort: 53, Protocol: corev1.ProtocolUDP})
	envoy := corev1.Container{Name: names.ContainerEnvoy, Ports: []corev1.ContainerPort{{ContainerPort: 15010}, {ContainerPort: 7}}}
	return []corev1.Container{app, envoy}
}

func own(pairs ...string) map[string]string {
	out := map[string]string{"other": "stays"}
	for i := 0; i < len(pairs); i += 2 {
		out["prometheus.io/"+pairs[i]] = pairs[i+1]
	}
	return out
}

func TestAnnounce(t *testing.T) {
	const scrape, port, path, scheme = "scrape", "port", "path", "scheme"
	for name, c := range map[string]struct {
		own     map[string]string
		ports   []int32
		want    Source
		warning string
	}{
		"nothing":                  {own: own()},
		"port and path":            {own: own(scrape, "true", port, "8080", path, "/m/all"), want: Source{8080, "/m/all"}},
		"path by default":          {own: own(scrape, "true", port, "8080"), want: Source{8080, "/metrics"}},
		"a path without its slash": {own: own(scrape, "True", port, "1", path, "m"), want: Source{1, "/m"}},
		"the only port":            {own: own(scrape, "true"), ports: []int32{9000}, want: Source{9000, "/metrics"}},
		"one port, declared twice": {own: own(scrape, "true"), ports: []int32{9000, 9000}, want: Source{9000, "/metrics"}},
		"plain scheme":             {own: own(scrape, "true", port, "1", scheme, "http"), want: Source{1, "/metrics"}},
		"not to be scraped":        {own: own(scrape, "false", port, "nonsense")},
		"a port alone":             {own: own(port, "8080")},
		"no port":                  {own: own(scrape, "true"), warning: "the annotation prometheus.io/port is missing and the containers declare 0 TCP ports"},
		"several ports":            {own: own(scrape, "true"), ports: []int32{1, 2}, warning: "prometheus.io/port is missing and the containers declare 2 TCP ports"},
		"no number":                {own: own(scrape, "true", port, "web"), warning: `the annotation prometheus.io/port is "web", which is not a port number; write one from 1 to 65535`},
		"zero":                     {own: own(scrape, "true", port, "0"), warning: `prometheus.io/port is "0", which is not a port`},
		"too large":                {own: own(scrape, "true", port, "65536"), warning: `prometheus.io/port is "65536"`},
		"negative":                 {own: own(scrape, "true", port, "-1"), warning: `prometheus.io/port is "-1"`},
		"the admin interface":      {own: own(scrape, "true", port, "15000", path, "/config_dump"), warning: `prometheus.io/port is "15000", which is a port of the sidecar`},
		"TLS":                      {own: own(scrape, "true", port, "1", scheme, "https"), warning: `prometheus.io/scheme is "https"`},
		"a query":                  {own: own(scrape, "true", port, "1", path, "/m?x=y"), warning: `prometheus.io/path is "/m?x=y", which is not a path of a URL without a query`},
		"a header in the path":     {own: own(scrape, "true", port, "1", path, "/m HTTP/1.1\r\nX: y"), warning: "which is not a path"},
		"a broken escape":          {own: own(scrape, "true", port, "1", path, "/%zz"), warning: "which is not a path"},
		"a script in the path":     {own: own(scrape, "true", port, "1", path, `/"] os.exit() --[[`), warning: "which is not a path"},
		"a very long path":         {own: own(scrape, "true", port, "1", path, "/"+strings.Repeat("a", 1024)), warning: "is longer than 1024 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings := Announce(c.own, containers(c.ports...))
			require.Equal(t, "true 15010 /stats/prometheus", got[names.AnnotationScrape]+" "+got[names.AnnotationScrapePort]+" "+got[names.AnnotationScrapePath])
			require.NotContains(t, got, names.AnnotationScrapeScheme)
			require.Equal(t, "stays", got["other"])
			source, ok := Read(got)
			require.Equal(t, c.want, source)
			require.Equal(t, c.want != Source{}, ok)
			if c.warning == "" {
				require.Empty(t, warnings)
			} else {
				require.Len(t, warnings, 1)
				require.Contains(t, warnings[0], c.warning)
				require.Contains(t, warnings[0], "Prometheus gets the sidecar's metrics only")
			}
			again, _ := Announce(got, containers(c.ports...))
			require.Equal(t, got, again, "twice is once")
			require.Equal(t, c.own, Withdraw(got), "the user's own come back")
			require.Equal(t, c.own, Withdraw(c.own), "and stay")
		})
	}
}

// TestReadTrustsNobody: who may annotate a running pod cannot lead its sidecar to the sidecar's own ports, or put anything
// but a path into a request.
func TestReadTrustsNobody(t *testing.T) {
	for _, value := range []string{
		"", "{", "[]", `"x"`, `{"own":{}}`, `{"port":15000,"path":"/config_dump"}`, `{"port":15010,"path":"/stats/prometheus"}`, `{"port":15905,"path":"/"}`, `{"port":0,"path":"/m"}`,
		`{"port":70000,"path":"/m"}`, `{"port":-1,"path":"/m"}`, `{"port":"8080","path":"/m"}`, `{"port":8080}`, `{"port":8080,"path":"m"}`, `{"port":8080,"path":"/m\n"}`, `{"port":8080,"path":"/\u0000"}`, `{"port":8080,"path":"/a b"}`,
	} {
		source, ok := Read(map[string]string{names.AnnotationOwnMetrics: value})
		require.False(t, ok, value)
		require.Zero(t, source, value)
		require.NotContains(t, Withdraw(map[string]string{names.AnnotationOwnMetrics: value}), names.AnnotationOwnMetrics)
	}
	source, ok := Read(map[string]string{names.AnnotationOwnMetrics: `{"port":8080,"path":"/m"}`})
	require.True(t, ok)
	require.Equal(t, Source{8080, "/m"}, source)
}

// TestWithdrawKeepsNewerAnnotations: a user who changed the annotations after the sidecar was announced keeps the change.
func TestWithdrawKeepsNewerAnnotations(t *testing.T) {
	announced, _ := Announce(own("scrape", "true", "port", "8080"), nil)
	announced[names.AnnotationScrapePort] = "9090"
	got := Withdraw(announced)
	require.Equal(t, "9090", got[names.AnnotationScrapePort])
	require.NotContains(t, got, names.AnnotationOwnMetrics)
	again, warnings := Announce(announced, nil)
	require.Empty(t, warnings)
	source, _ := Read(again)
	require.Equal(t, Source{9090, "/stats/prometheus"}, source, "what stands there is what the user wants")
}
