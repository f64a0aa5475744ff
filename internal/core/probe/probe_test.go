package probe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

func httpProbe(port intstr.IntOrString, path string, scheme corev1.URIScheme, timeout int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port, Path: path, Scheme: scheme}}, TimeoutSeconds: timeout}
}

func TestRequestURI(t *testing.T) {
	for path, want := range map[string]string{
		"": "/", "/": "/", "health": "/health", "/a?b=c": "/a?b=c", "?b=c": "/?b=c", "/a%2Fb": "/a%2Fb", "a%2Fb": "/a%2Fb", "/a b": "/a%20b",
		"/a#frag": "/a", "/%zz": "/%25zz", "//x/y": "/y", "/ä": "/%C3%A4", "/a?": "/a?",
	} {
		require.Equal(t, want, requestURI(path), path)
	}
}

func TestPortsAreResolvedAmongTheContainersOwn(t *testing.T) {
	c := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "8081", ContainerPort: 9}}}
	for _, tc := range []struct {
		port intstr.IntOrString
		want uint16
		ok   bool
	}{
		{intstr.FromString("http"), 8080, true},
		{intstr.FromInt32(80), 80, true},
		{intstr.FromString("8082"), 8082, true},
		{intstr.FromString("8081"), 9, true},
		{intstr.FromString("https"), 0, false},
		{intstr.FromString("99999"), 0, false},
		{intstr.FromInt32(0), 0, false},
		{intstr.FromInt32(-1), 0, false},
		{intstr.FromInt32(70000), 0, false},
	} {
		got, ok := resolve(c, tc.port)
		require.Equal(t, tc.ok, ok, tc.port.String())
		require.Equal(t, tc.want, got, tc.port.String())
	}
}

func TestGRPCProbesGetPortsOfTheirOwn(t *testing.T) {
	grpc := func(port int32) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}, TimeoutSeconds: 3}
	}
	a := &corev1.Container{Name: "a", LivenessProbe: grpc(9000), StartupProbe: grpc(9000)}
	b := &corev1.Container{Name: "b", ReadinessProbe: grpc(9001), LivenessProbe: grpc(0)}
	got := Rewrite([]*corev1.Container{a, b}, false)
	require.Equal(t, []Target{
		{Kind: Liveness, Container: "a", Mode: GRPC, ListenPort: 15920, Port: 9000, Timeout: 3 * time.Second},
		{Kind: Startup, Container: "a", Mode: GRPC, ListenPort: 15921, Port: 9000, Timeout: 3 * time.Second},
		{Kind: Readiness, Container: "b", Mode: GRPC, ListenPort: 15922, Port: 9001, Timeout: 3 * time.Second},
	}, got.Targets)
	require.EqualValues(t, 15920, a.LivenessProbe.GRPC.Port)
	require.True(t, IsRewritten(a.LivenessProbe))
	require.False(t, IsRewritten(b.LivenessProbe), "port 0 is left as it is")
	require.Len(t, got.Warnings, 1)
	Restore(a, got.Originals["a"])
	require.EqualValues(t, 9000, a.LivenessProbe.GRPC.Port)
}

func TestTimeoutIsTheProbes(t *testing.T) {
	c := &corev1.Container{Name: "web", LivenessProbe: httpProbe(intstr.FromInt32(80), "/", "", 7), ReadinessProbe: httpProbe(intstr.FromInt32(80), "/", "", 0)}
	got := Rewrite([]*corev1.Container{c}, false)
	require.Equal(t, 7*time.Second, got.Targets[0].Timeout)
	require.Equal(t, time.Second, got.Targets[1].Timeout)
	require.EqualValues(t, 7, c.LivenessProbe.TimeoutSeconds)
	require.Equal(t, []uint16{15901, 15902}, got.Ports())
}

func TestRangeOfExtraPortsEnds(t *testing.T) {
	var cs []*corev1.Container
	const n = lastExtraPort - firstExtraPort + 3
	for i := range n {
		cs = append(cs, &corev1.Container{Name: string(rune('a'+i/26)) + string(rune('a'+i%26)), LivenessProbe: httpProbe(intstr.FromInt32(8443), "/", corev1.URISchemeHTTPS, 1)})
	}
	got := Rewrite(cs, false)
	require.Len(t, got.Targets, n-1)
	require.Len(t, got.Warnings, 1)
	seen := map[uint16]bool{}
	for _, target := range got.Targets {
		require.False(t, seen[target.ListenPort])
		seen[target.ListenPort] = true
	}
	require.EqualValues(t, 8443, cs[n-1].LivenessProbe.HTTPGet.Port.IntVal, "left as it is, with a warning")
}

// Whatever the probes, no two targets can be confused with each other, the originals come back, and a second rewriting
// of a restored container gives the same.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,3}`), 1, 5, rapid.ID[string]).Draw(t, "names")
		var cs []*corev1.Container
		for _, n := range names {
			c := &corev1.Container{Name: n, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
			c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = drawProbe(t), drawProbe(t), drawProbe(t)
			cs = append(cs, c)
		}
		before := clone(cs)
		got := Rewrite(cs, false)
		seen := map[[2]any]bool{}
		for _, target := range got.Targets {
			key := [2]any{target.ListenPort, target.ListenPath}
			if seen[key] {
				t.Fatalf("two targets on %v", key)
			}
			seen[key] = true
		}
		rewritten := clone(cs)
		for _, c := range cs {
			if o, ok := got.Originals[c.Name]; ok {
				Restore(c, o)
			}
		}
		if d := cmp.Diff(before, cs); d != "" {
			t.Fatal(d)
		}
		again := Rewrite(cs, false)
		if d := cmp.Diff(got, again); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(rewritten, cs); d != "" {
			t.Fatal(d)
		}
	})
}

func clone(cs []*corev1.Container) []*corev1.Container {
	out := make([]*corev1.Container, len(cs))
	for i, c := range cs {
		out[i] = c.DeepCopy()
	}
	return out
}

func drawProbe(t *rapid.T) *corev1.Probe {
	port := rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(80), intstr.FromString("http"), intstr.FromString("none")}).Draw(t, "port")
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return httpProbe(port, rapid.StringMatching(`/?[a-z]{0,2}(\?q=1)?`).Draw(t, "path"), "", 2)
	case 2:
		return httpProbe(port, "/tls", corev1.URISchemeHTTPS, 0)
	case 3:
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}}
	case 4:
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9000}}}
	case 5:
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	}
	return httpProbe(intstr.FromInt32(80), "/", "", 1)
}
