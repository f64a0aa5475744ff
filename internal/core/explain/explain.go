package explain

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Question is one call.
type Question struct {
	// From is the pod that calls; its UID does not matter.
	From meshid.Pod
	// Host is what it dials: a name as the cluster's DNS knows it from that pod, or an address. Port is the port.
	Host string
	Port uint16
	// HTTP is the request, or nil for bytes. Its Host may be empty.
	HTTP *sim.Request
	// AnyRequest is whether the request only stands for any request, because the asker named none.
	AnyRequest bool
	// TLS is whether the application speaks TLS itself.
	TLS bool
}

// Verdict is the answer.
type Verdict struct {
	// From and To say who calls whom, in words.
	From string `json:"from"`
	To   string `json:"to"`
	// Allowed is whether every one of the ways the call may go ends with the application.
	Allowed bool `json:"allowed"`
	// Ends is the first way's end in the simulator's words, for example "answered 403" or "refused".
	Ends string `json:"ends"`
	// Ways are the ways the call may go: one, or as many as a TrafficSplit has backends.
	Ways []Way `json:"ways"`
	// Because is what lets the call through, Missing what keeps it from getting through, in sentences.
	Because []string `json:"because,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Findings are the problems of objects that have to do with either side.
	Findings []snapshot.Finding `json:"findings,omitempty"`
	// Policy is the smallest policy that would allow the call; empty when it is allowed, or when policy is not what is missing.
	Policy []snapshot.Object `json:"policy,omitempty"`
}

// Way is one way a call may go.
type Way struct {
	// Cluster is the caller's Envoy cluster; empty when the call ends before one is chosen.
	Cluster string `json:"cluster,omitempty"`
	// Percent is how many of a hundred calls go this way.
	Percent float64 `json:"percent"`
	Ends    string  `json:"ends"`
	Allowed bool    `json:"allowed"`
	// Where is the side that decided: "client" or "server". By is the listener, chain, route or rule that did.
	Where string `json:"where"`
	By    string `json:"by,omitempty"`

	outcome sim.Outcome
	service *snapshot.Service
}

// Explain answers a question. The error is about the question.
func (m *Mesh) Explain(q Question) (Verdict, error) {
	to, err := m.resolve(q.From.Namespace, q.Host, q.Port)
	if err != nil {
		return Verdict{}, err
	}
	q.complete(to)
	c := &call{mesh: m, q: q, to: to, from: m.pod(q.From)}
	if err := c.follow(); err != nil {
		return Verdict{}, err
	}
	v := Verdict{From: c.fromWords(), To: c.toWords(), Ways: c.ways, Ends: c.ways[0].Ends, Allowed: true}
	for _, w := range c.ways {
		v.Allowed = v.Allowed && w.Allowed
	}
	if v.Allowed {
		v.Because = c.because()
	} else {
		v.Missing, v.Policy = c.missing()
	}
	v.Findings = c.findings()
	return v, nil
}

// complete fills in what the asker left out: on a port that speaks HTTP, some request; and the request's Host.
func (q *Question) complete(to destination) {
	if q.HTTP == nil && to.port != nil && to.port.Protocol.IsHTTP() && !to.port.Undeclared {
		q.HTTP, q.AnyRequest = &sim.Request{Method: "GET", Path: "/", Headers: map[string]string{}}, true
	}
	if q.HTTP != nil && q.HTTP.Host == "" {
		r := *q.HTTP
		r.Host = net.JoinHostPort(q.Host, strconv.Itoa(int(q.Port)))
		q.HTTP = &r
	}
}

// call is a question being answered.
type call struct {
	mesh *Mesh
	q    Question
	from *snapshot.Pod // nil when the mesh does not know the pod
	to   destination
	ways []Way
}

func (c *call) follow() error {
	client := c.mesh.Sidecar(c.from)
	if client == nil {
		return c.followStranger()
	}
	question := sim.Call{To: c.to.addr, HTTP: c.q.HTTP, TLS: c.q.TLS, ServerName: c.q.Host}
	choices, err := sim.Choices(client, question)
	if err != nil {
		return err
	}
	var sum uint32
	for _, ch := range choices {
		sum += ch.Weight
	}
	if len(choices) == 0 {
		choices, sum = []sim.Choice{{Weight: 1}}, 1
	}
	for _, ch := range choices {
		if ch.Weight == 0 {
			continue
		}
		out, err := sim.FromMesh(client, c.mesh.At, question)
		if err != nil {
			return err
		}
		out, err = c.landed(out)
		if err != nil {
			return err
		}
		c.add(ch.Cluster, 100*float64(ch.Weight)/float64(sum), out)
		question.Pick += ch.Weight
	}
	return nil
}

// landed follows what passes through to where it was going: a pod of the mesh takes it as a stranger's.
func (c *call) landed(out sim.Outcome) (sim.Outcome, error) {
	if out.End != sim.Passthrough || c.to.outside() {
		return out, nil
	}
	at, err := c.endpoint()
	if err != nil {
		return out, err
	}
	if !at.IsValid() {
		return sim.Outcome{End: sim.Reset, By: "no endpoints of service " + c.to.service.ID.String()}, nil
	}
	server := c.mesh.At(at)
	if server == nil {
		return out, nil
	}
	seen, err := sim.FromOutside(server, at, sim.Stranger{From: c.from.IPs[0], TLS: c.q.TLS, ServerName: c.q.Host, HTTP: c.q.HTTP})
	if err == nil && seen.By != "" {
		seen.By = "server: " + seen.By
	}
	return seen, err
}

// followStranger follows the call of a pod without a sidecar.
func (c *call) followStranger() error {
	at, err := c.endpoint()
	if err != nil {
		return err
	}
	server := c.mesh.At(at)
	if c.to.outside() || server == nil {
		c.add("", 100, sim.Outcome{End: sim.Passthrough, By: "neither side has a sidecar"})
		return nil
	}
	who := sim.Stranger{TLS: c.q.TLS, ServerName: c.q.Host, HTTP: c.q.HTTP}
	if c.from != nil && len(c.from.IPs) > 0 {
		who.From = c.from.IPs[0]
	}
	out, err := sim.FromOutside(server, at, who)
	if err != nil {
		return err
	}
	out.By = "server: " + out.By
	c.add("", 100, out)
	return nil
}

func (c *call) add(cluster string, percent float64, out sim.Outcome) {
	w := Way{Cluster: cluster, Percent: percent, Ends: out.String(), By: out.By, Where: "client", outcome: out}
	if by, server := strings.CutPrefix(out.By, "server: "); server {
		w.Where, w.By = "server", by
	} else {
		w.By = strings.TrimPrefix(w.By, "client: ")
	}
	if w.service = c.mesh.serviceOfCluster(cluster); w.service == nil {
		w.service = c.to.service
	}
	switch out.End {
	case sim.Connected, sim.Passthrough:
		w.Allowed = true
	case sim.Answered:
		w.Allowed = out.Code == 200
		if w.Allowed && !c.to.outside() {
			w.Where = "server"
		}
	}
	c.ways = append(c.ways, w)
}

// serviceOfCluster is the Service behind a cluster of the mesh, "<namespace>/<service>|<port>"; nil for other clusters.
func (m *Mesh) serviceOfCluster(cluster string) *snapshot.Service {
	name, _, _ := strings.Cut(cluster, "|")
	namespace, name, ok := strings.Cut(name, "/")
	if !ok {
		return nil
	}
	// A pod of a StatefulSet has a cluster of its own: "<namespace>/<hostname>.<service>|<port>".
	if _, service, ok := strings.Cut(name, "."); ok {
		name = service
	}
	return m.snap.Service(meshid.Service{Namespace: namespace, Name: name})
}

// findings lists the problems of objects in the namespaces of either side, and of the mesh.
func (c *call) findings() []snapshot.Finding {
	near := []string{c.q.From.Namespace, c.mesh.snap.Mesh.Namespace}
	if c.to.service != nil {
		near = append(near, c.to.service.ID.Namespace)
	}
	var out []snapshot.Finding
	for _, f := range c.mesh.planner.Findings() {
		if slices.Contains(near, f.Object.Namespace) {
			out = append(out, f)
		}
	}
	return out
}

func (c *call) fromWords() string {
	switch {
	case c.from == nil:
		return fmt.Sprintf("pod %s (of no mesh)", c.q.From)
	case c.from.ProxyUUID == "":
		return fmt.Sprintf("pod %s (service account %s, no sidecar)", c.q.From, c.from.Identity)
	}
	return fmt.Sprintf("pod %s (service account %s)", c.q.From, c.from.Identity)
}

func (c *call) toWords() string {
	where := net.JoinHostPort(c.q.Host, strconv.Itoa(int(c.q.Port)))
	if c.q.HTTP != nil && !c.q.AnyRequest {
		where = fmt.Sprintf("%s http://%s%s", c.q.HTTP.Method, where, c.q.HTTP.Path)
	}
	switch {
	case c.to.service != nil:
		return fmt.Sprintf("%s (service %s)", where, c.to.service.ID)
	case c.to.pod != nil:
		return fmt.Sprintf("%s (pod %s)", where, c.to.pod.ID)
	}
	return where + " (outside of the mesh)"
}
