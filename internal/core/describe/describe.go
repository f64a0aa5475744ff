// Package describe says in words what a proxy is told: whom its pod may call and who may call it. Input: a planner and a pod or
// service of its snapshot. Output: values, JSON-tagged, for people and programs. It imports plan, ir, snapshot and meshid; no
// network, no clock.
package describe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Pod is one pod of the mesh.
type Pod struct {
	// Name is "<namespace>/<name>", Identity "<service account>.<namespace>", Certificate the name in its certificate.
	Name        string `json:"name"`
	Identity    string `json:"identity"`
	Certificate string `json:"certificate"`
	// Sidecar is whether it has one. Without one nothing below is in force.
	Sidecar  bool     `json:"sidecar"`
	Services []string `json:"services,omitempty"`
	// MayCall is where its connections may go, Passthrough whether they may go anywhere else.
	MayCall     []Destination `json:"mayCall,omitempty"`
	Passthrough bool          `json:"passthrough"`
	// Answers are the ports it is called on.
	Answers []Port `json:"answers,omitempty"`
}

// Destination is something a pod may call.
type Destination struct {
	// Name is "<namespace>/<service>", or what an Egress policy opens.
	Name     string `json:"name"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	// Shares are where calls go.
	Shares []Share `json:"shares,omitempty"`
}

// Share is a part of the calls.
type Share struct {
	Cluster string  `json:"cluster"`
	Percent float64 `json:"percent"`
}

// Port is a port a pod, or the pods of a service, answer on.
type Port struct {
	// Service is whose port it is; Number is that of the pod.
	Service  string `json:"service"`
	Number   uint16 `json:"number"`
	Protocol string `json:"protocol"`
	// Anybody is whether every pod of the mesh may call; else Callers may.
	Anybody bool     `json:"anybody,omitempty"`
	Callers []Caller `json:"callers,omitempty"`
}

// Caller is what a TrafficTarget lets some callers do.
type Caller struct {
	// Policy is "<namespace>/<TrafficTarget>".
	Policy string `json:"policy"`
	// Principals are the names in the callers' certificates.
	Principals []string `json:"principals"`
	// Requests are in words; none for bytes.
	Requests []string `json:"requests,omitempty"`
}

// OfPod describes a pod.
func OfPod(p *plan.Planner, pod *snapshot.Pod) Pod {
	out := Pod{
		Name: pod.ID.String(), Identity: pod.Identity.String(), Sidecar: pod.ProxyUUID != "",
		Certificate: pod.Identity.Principal(p.Snapshot().Mesh.TrustDomain),
	}
	for _, id := range p.Snapshot().ServicesOf(pod.ID) {
		out.Services = append(out.Services, id.String())
	}
	proxy := p.Plan(p.KeyOf(pod))
	if proxy.Outbound != nil {
		out.Passthrough = proxy.Outbound.Passthrough
		for _, c := range proxy.Outbound.Chains {
			out.MayCall = append(out.MayCall, destination(&proxy, c))
		}
	}
	out.Answers = answers(&proxy)
	return out
}

func destination(proxy *ir.Proxy, c ir.Chain) Destination {
	d := Destination{Name: c.Name, Port: c.Match.Port, Protocol: string(c.Protocol), Shares: shares(c.TCP)}
	if c.About.Service != (meshid.Service{}) {
		d.Name = c.About.Service.String()
	}
	if c.RouteConfig == "" {
		return d
	}
	for _, vh := range hostsOf(proxy, c.RouteConfig) {
		if vh.About.Service == c.About.Service && len(vh.Routes) > 0 {
			d.Shares = shares(vh.Routes[0].Targets)
		}
	}
	return d
}

func hostsOf(proxy *ir.Proxy, config string) []ir.VirtualHost {
	for _, rc := range proxy.RouteConfigs {
		if rc.Name == config {
			return rc.VirtualHosts
		}
	}
	return nil
}

func shares(targets []ir.Target) []Share {
	var sum uint32
	for _, t := range targets {
		sum += t.Weight
	}
	var out []Share
	for _, t := range targets {
		if t.Weight > 0 {
			out = append(out, Share{Cluster: t.Cluster, Percent: 100 * float64(t.Weight) / float64(sum)})
		}
	}
	return out
}

func answers(proxy *ir.Proxy) []Port {
	if proxy.Inbound == nil {
		return nil
	}
	var out []Port
	for _, c := range proxy.Inbound.Chains {
		if c.Side == ir.Ingress {
			continue
		}
		port := Port{Service: c.About.Service.String(), Number: c.Match.Port, Protocol: string(c.Protocol)}
		switch {
		case c.Access == nil:
			port.Anybody = true
		case c.RouteConfig == "":
			for _, r := range c.Access.Rules {
				port.Callers = append(port.Callers, Caller{Policy: r.Name, Principals: r.Principals})
			}
		default:
			port.Callers = requesters(hostsOf(proxy, c.RouteConfig), c.About.Service)
		}
		out = append(out, port)
	}
	return out
}

// requesters are the rules of a service's own virtual host.
func requesters(hosts []ir.VirtualHost, service meshid.Service) []Caller {
	var out []Caller
	for _, vh := range hosts {
		if vh.About.Service != service || vh.Access == nil || out != nil {
			continue
		}
		for _, r := range vh.Access.Rules {
			caller := Caller{Policy: r.Name, Principals: r.Principals}
			for _, m := range r.Matches {
				caller.Requests = append(caller.Requests, Request(m))
			}
			out = append(out, caller)
		}
	}
	return out
}

// Service is one Service of the mesh.
type Service struct {
	// Name is "<namespace>/<name>".
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
	// Ports are "<port> → <target port> (<protocol>)" of those the mesh carries.
	Ports []string `json:"ports,omitempty"`
	// Identities are the service accounts of its pods, Pods the ready ones behind it.
	Identities []string `json:"identities,omitempty"`
	Pods       []string `json:"pods,omitempty"`
	// Split is where calls to it go, if a TrafficSplit says so.
	Split []string `json:"split,omitempty"`
	// Answers are the ports of its first pod.
	Answers []Port `json:"answers,omitempty"`
}

// OfService describes a Service.
func OfService(p *plan.Planner, svc *snapshot.Service) Service {
	snap := p.Snapshot()
	out := Service{Name: svc.ID.String()}
	for _, a := range svc.ClusterIPs {
		out.Addresses = append(out.Addresses, a.String())
	}
	for _, port := range p.Ports(svc.ID) {
		out.Ports = append(out.Ports, fmt.Sprintf("%d → %d (%s)", port.Port, port.TargetPort, port.Protocol))
		for _, ep := range snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port.Port}] {
			out.Pods = append(out.Pods, ep.Pod.String())
		}
	}
	slices.Sort(out.Pods)
	out.Pods = slices.Compact(out.Pods)
	for _, id := range snap.Backing(svc.ID) {
		out.Identities = append(out.Identities, id.String())
	}
	if backends := p.BackendsOf(svc.ID); !slices.Equal(backends, []meshid.Service{svc.ID}) {
		for _, b := range backends {
			out.Split = append(out.Split, b.String())
		}
	}
	out.Answers = answersOf(p, svc.ID)
	return out
}

// answersOf are the ports on which the first pod behind a service answers for it.
func answersOf(p *plan.Planner, id meshid.Service) []Port {
	for _, pod := range p.Snapshot().Pods {
		if !slices.Contains(p.Snapshot().ServicesOf(pod.ID), id) {
			continue
		}
		all := OfPod(p, pod).Answers
		return slices.DeleteFunc(all, func(port Port) bool { return port.Service != id.String() })
	}
	return nil
}

// Request says in words which requests a match is about.
func Request(m ir.RouteMatch) string {
	words := cmp.Or(m.Method, "any method on") + " " + cmp.Or(m.Path, "any path")
	if len(m.Headers) == 0 {
		return words
	}
	headers := make([]string, 0, len(m.Headers))
	for _, h := range m.Headers {
		headers = append(headers, h.Name+"="+h.Regex)
	}
	return words + " with header " + strings.Join(headers, ", ")
}
