package probe

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"openservicemesh.io/osm/internal/core/names"
)

// Kind is the type of a probe.
type Kind string

// The kinds of probes, in the order they are handled.
const (
	Liveness  Kind = "liveness"
	Readiness Kind = "readiness"
	Startup   Kind = "startup"
)

// The lifecycle hooks, which the kubelet calls just as it does probes.
const (
	PostStart Kind = "poststart"
	PreStop   Kind = "prestop"
)

// kinds lists every kind of probe.
var kinds = [...]Kind{Liveness, Readiness, Startup}

// Mode says how the sidecar hands a probe on.
type Mode string

// The modes.
const (
	// HTTP: the sidecar answers exactly one path and forwards it to the application.
	HTTP Mode = "HTTP"
	// TLS: the sidecar passes the bytes through; the application holds the certificate.
	TLS Mode = "TLS"
	// GRPC: the sidecar passes the bytes through on a port of the probe's own.
	GRPC Mode = "GRPC"
)

// HeaderOriginalPort carries the application's port to the health-check helper.
const HeaderOriginalPort = "Original-Tcp-Port"

// firstExtraPort is the first port of the range that gRPC probes and further HTTPS probes of one kind are given; see
// Rewrite.
const firstExtraPort, lastExtraPort = 15920, 15979

// Target is one probe the sidecar has to serve.
type Target struct {
	Kind      Kind   `json:"kind"`
	Container string `json:"container"`
	Mode      Mode   `json:"mode"`
	// ListenPort is the sidecar's port the kubelet now calls.
	ListenPort uint16 `json:"listenPort"`
	// ListenPath is the only path served for this target; empty unless HTTP.
	ListenPath string `json:"listenPath,omitempty"`
	// Port is the application's port.
	Port uint16 `json:"port"`
	// Path is the application's path with its query; empty unless HTTP.
	Path string `json:"path,omitempty"`
	// Timeout is the probe's timeoutSeconds, at least one second; zero, which is none, for a hook.
	Timeout time.Duration `json:"timeout"`
}

// Probes are the three probes of one container, as its author wrote them.
type Probes struct {
	Liveness  *corev1.Probe `json:"liveness,omitempty"`
	Readiness *corev1.Probe `json:"readiness,omitempty"`
	Startup   *corev1.Probe `json:"startup,omitempty"`
	// Lifecycle is set when a hook of it calls over HTTP.
	Lifecycle *corev1.Lifecycle `json:"lifecycle,omitempty"`
}

// Result is what Rewrite found and did.
type Result struct {
	// Targets in the order of the containers.
	Targets []Target
	// TCPPorts are the application ports that TCP probes ask for, in order of appearance, without repetition.
	TCPPorts []uint16
	// Originals holds the untouched probes of every container with a rewritten one, by container name.
	Originals map[string]Probes
	// Warnings tell the user about probes that cannot work in a meshed pod.
	Warnings []string
}

// Ports lists the sidecar's ports in use by the targets and by TCP probes, without repetition.
func (r Result) Ports() []uint16 {
	var out []uint16
	seen := map[uint16]bool{}
	add := func(p uint16) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, t := range r.Targets {
		add(t.ListenPort)
	}
	if len(r.TCPPorts) > 0 {
		add(names.PortHealthcheck)
	}
	return out
}

// Rewrite changes the probes of containers in place (the caller passes copies) and says what the sidecar must serve.
//
// HTTP probes of one kind share one sidecar port and are told apart by an exact path that ends in the container's name.
// An HTTPS probe carries no name to tell it by, so the first of its kind gets the shared port (told from HTTP by the
// TLS handshake) and each further one a port of its own from 15920 on. TCP probes go to the health-check helper. Exec
// probes never leave the container and stay. A gRPC probe goes to a port of its own from the same range, which leads to
// the application's. A probe that names a host is not about this pod and stays.
//
// Lifecycle hooks that call over HTTP are served like liveness probes, by other paths. late is whether the sidecar starts
// after the containers, so that nothing can serve a hook that is called when they start.
func Rewrite(containers []*corev1.Container, late bool) Result {
	w := writer{
		res: Result{Originals: map[string]Probes{}}, late: late,
		// Of the shared ports, hooks have that of liveness probes, whose first HTTPS probe may follow.
		tlsTaken: map[Kind]bool{PostStart: true, PreStop: true}, nextExtra: firstExtraPort,
	}
	for _, c := range containers {
		orig := Probes{Liveness: c.LivenessProbe.DeepCopy(), Readiness: c.ReadinessProbe.DeepCopy(), Startup: c.StartupProbe.DeepCopy()}
		changed := false
		for _, k := range kinds {
			if p := probeOf(c, k); p != nil && w.rewrite(c, k, p) {
				changed = true
			}
		}
		lifecycle := c.Lifecycle.DeepCopy()
		if w.hooks(c) {
			orig.Lifecycle, changed = lifecycle, true
		}
		if changed {
			w.res.Originals[c.Name] = orig
		}
	}
	return w.res
}

// Restore puts the author's probes back into a container, the inverse of Rewrite.
func Restore(c *corev1.Container, orig Probes) {
	c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = orig.Liveness.DeepCopy(), orig.Readiness.DeepCopy(), orig.Startup.DeepCopy()
	if orig.Lifecycle != nil {
		c.Lifecycle = orig.Lifecycle.DeepCopy()
	}
}

// IsRewritten reports whether a probe already points at the sidecar or the health-check helper.
func IsRewritten(p *corev1.Probe) bool {
	if p != nil && p.GRPC != nil {
		return p.GRPC.Port >= firstExtraPort && p.GRPC.Port <= lastExtraPort
	}
	if p == nil || p.HTTPGet == nil || p.HTTPGet.Port.Type != intstr.Int {
		return false
	}
	switch port := p.HTTPGet.Port.IntVal; {
	case port >= names.PortProbeLiveness && port <= names.PortHealthcheck:
		return true
	default:
		return port >= firstExtraPort && port <= lastExtraPort && p.HTTPGet.Scheme == corev1.URISchemeHTTPS
	}
}

type writer struct {
	res       Result
	late      bool
	tlsTaken  map[Kind]bool
	nextExtra uint16
}

// rewrite reports whether it changed the probe.
func (w *writer) rewrite(c *corev1.Container, k Kind, p *corev1.Probe) bool {
	switch {
	case p.HTTPGet != nil:
		return w.http(c, k, p)
	case p.TCPSocket != nil:
		return w.tcp(c, k, p)
	case p.GRPC != nil:
		return w.grpc(c, k, p)
	}
	return false
}

func (w *writer) http(c *corev1.Container, k Kind, p *corev1.Probe) bool {
	g := p.HTTPGet
	if g.Host != "" {
		return false
	}
	port, ok := resolve(c, g.Port)
	if !ok {
		w.warn(c, k, "asks for port %q, which the container does not declare; it is left as it is and will fail", g.Port.String())
		return false
	}
	t := Target{Kind: k, Container: c.Name, Port: port, Timeout: timeout(p)}
	if g.Scheme == corev1.URISchemeHTTPS {
		t.Mode, t.ListenPort = TLS, w.tlsPort(k)
		if t.ListenPort == 0 {
			w.warn(c, k, "is one HTTPS probe too many: a pod may have %d; it is left as it is and will fail", lastExtraPort-firstExtraPort+4)
			return false
		}
	} else {
		t.Mode, t.ListenPort = HTTP, sharedPort(k)
		t.Path, t.ListenPath = requestURI(g.Path), sharedPath(k)+"/"+c.Name
		g.Path = t.ListenPath
	}
	g.Port = intstr.FromInt32(int32(t.ListenPort))
	w.res.Targets = append(w.res.Targets, t)
	return true
}

func (w *writer) grpc(c *corev1.Container, k Kind, p *corev1.Probe) bool {
	port, ok := resolve(c, intstr.FromInt32(p.GRPC.Port))
	if !ok {
		w.warn(c, k, "asks for port %d, which is no port; it is left as it is and will fail", p.GRPC.Port)
		return false
	}
	t := Target{Kind: k, Container: c.Name, Mode: GRPC, ListenPort: w.extraPort(), Port: port, Timeout: timeout(p)}
	if t.ListenPort == 0 {
		w.warn(c, k, "is one gRPC or HTTPS probe too many: a pod may have %d; it is left as it is and will fail", lastExtraPort-firstExtraPort+1)
		return false
	}
	p.GRPC.Port = int32(t.ListenPort)
	w.res.Targets = append(w.res.Targets, t)
	return true
}

// tlsPort returns 0 when the range is used up.
func (w *writer) tlsPort(k Kind) uint16 {
	if !w.tlsTaken[k] {
		w.tlsTaken[k] = true
		return sharedPort(k)
	}
	return w.extraPort()
}

// extraPort returns the next port of the range, or 0 when it is used up.
func (w *writer) extraPort() uint16 {
	if w.nextExtra > lastExtraPort {
		return 0
	}
	w.nextExtra++
	return w.nextExtra - 1
}

func (w *writer) tcp(c *corev1.Container, k Kind, p *corev1.Probe) bool {
	if p.TCPSocket.Host != "" {
		return false
	}
	port, ok := resolve(c, p.TCPSocket.Port)
	if !ok {
		w.warn(c, k, "asks for port %q, which the container does not declare; it is left as it is and will fail", p.TCPSocket.Port.String())
		return false
	}
	p.TCPSocket = nil
	p.HTTPGet = &corev1.HTTPGetAction{
		Path:        names.PathHealthcheck,
		Port:        intstr.FromInt32(names.PortHealthcheck),
		HTTPHeaders: []corev1.HTTPHeader{{Name: HeaderOriginalPort, Value: strconv.Itoa(int(port))}},
	}
	for _, have := range w.res.TCPPorts {
		if have == port {
			return true
		}
	}
	w.res.TCPPorts = append(w.res.TCPPorts, port)
	return true
}

func (w *writer) warn(c *corev1.Container, k Kind, format string, args ...any) {
	w.res.Warnings = append(w.res.Warnings, fmt.Sprintf("container %q: its %s ", c.Name, k.noun())+fmt.Sprintf(format, args...))
}

// resolve looks a named port up among the container's own ports.
func resolve(c *corev1.Container, port intstr.IntOrString) (uint16, bool) {
	n := port.IntVal
	if port.Type == intstr.String {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				n = p.ContainerPort
			}
		}
		if n == 0 {
			// The kubelet also takes a number written as a string.
			v, err := strconv.ParseInt(port.StrVal, 10, 32)
			if err != nil {
				return 0, false
			}
			n = int32(v)
		}
	}
	if n < 1 || n > 65535 {
		return 0, false
	}
	return uint16(n), true
}

// requestURI is the request line the kubelet would have sent for a probe's path: never empty, with a leading slash, the
// query kept and a fragment dropped.
func requestURI(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		u = &url.URL{Path: path}
	}
	u = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if u.Path == "" || u.Path[0] != '/' {
		u.Path = "/" + u.Path
		if u.RawPath != "" {
			u.RawPath = "/" + u.RawPath
		}
	}
	return u.RequestURI()
}

func (k Kind) noun() string {
	switch k {
	case PostStart:
		return "postStart hook"
	case PreStop:
		return "preStop hook"
	default:
		return string(k) + " probe"
	}
}

func timeout(p *corev1.Probe) time.Duration {
	return time.Duration(max(p.TimeoutSeconds, 1)) * time.Second
}

func probeOf(c *corev1.Container, k Kind) *corev1.Probe {
	switch k {
	case Liveness:
		return c.LivenessProbe
	case Readiness:
		return c.ReadinessProbe
	default:
		return c.StartupProbe
	}
}

func sharedPort(k Kind) uint16 {
	switch k {
	case Liveness, PostStart, PreStop:
		return names.PortProbeLiveness
	case Readiness:
		return names.PortProbeReadiness
	default:
		return names.PortProbeStartup
	}
}

func sharedPath(k Kind) string {
	switch k {
	case PostStart:
		return names.PathHookPostStart
	case PreStop:
		return names.PathHookPreStop
	case Liveness:
		return names.PathProbeLiveness
	case Readiness:
		return names.PathProbeReadiness
	default:
		return names.PathProbeStartup
	}
}
