package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/kube/convert"
)

// port is one port of a service that speaks the protocol in question.
type port struct {
	service meshid.Service
	// number is the Service's port, target the pod's; target is 0 where the pod has no port of the name.
	number, target uint16
	protocol       meshid.Protocol
	// headless says that callers dial the pods, on target.
	headless bool
	// pod is what the pod is called below a headless service, if it has a name of its own there.
	pod meshid.Service
}

// dialled is the number that callers use.
func (p port) dialled() uint16 {
	if p.headless {
		return p.target
	}
	return p.number
}

// chains are the names that a caller's filter chain for the port may have.
func (p port) chains() []string {
	out := []string{names.OutboundChain(p.service, p.number, p.protocol)}
	if !p.headless {
		return out
	}
	out = append(out, names.OutboundChainTo(p.service, p.number, p.target, p.protocol))
	if p.pod != (meshid.Service{}) {
		out = append(out, names.OutboundChain(p.pod, p.number, p.protocol), names.OutboundChainTo(p.pod, p.number, p.target, p.protocol))
	}
	return out
}

// portsOf lists the ports of a service that speak a protocol. pod resolves names of target ports; it may be nil.
func portsOf(service *corev1.Service, pod *corev1.Pod, protocol meshid.Protocol) ([]port, error) {
	in := convert.ServiceOf(service)
	var out []port
	for i, p := range in.Ports {
		if p.Protocol != protocol {
			continue
		}
		target := p.TargetPort
		if name := in.TargetNames[i]; name != "" && pod != nil {
			target = namedPort(pod, name)
		}
		one := port{service: in.ID, number: p.Port, target: target, protocol: protocol, headless: in.Headless}
		if pod != nil && pod.Spec.Hostname != "" && pod.Spec.Subdomain == service.Name {
			one.pod = names.PodService(in.ID, pod.Spec.Hostname)
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it has no port of app protocol %q", protocol)
	}
	return out, nil
}

func namedPort(pod *corev1.Pod, name string) uint16 {
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, p := range c.Ports {
			if p.Name == name {
				return uint16(p.ContainerPort)
			}
		}
	}
	return 0
}

// identityOf is the service account of a pod.
func identityOf(pod *corev1.Pod) meshid.Identity {
	return meshid.Identity{Namespace: pod.Namespace, ServiceAccount: cmp.Or(pod.Spec.ServiceAccountName, "default")}
}

// outbound says what a caller's sidecar lacks for calls to ports of a service; "" when it lacks nothing.
func (d *dump) outbound(source *corev1.Pod, ports []port) string {
	pod := Name{source.Namespace, source.Name}
	l := d.listeners[names.ListenerOutbound]
	switch {
	case l == nil:
		return fmt.Sprintf("Outbound listener %q not found on source pod %q", names.ListenerOutbound, pod)
	case !l.active:
		return fmt.Sprintf("Outbound listener %q on source pod %q is not active", names.ListenerOutbound, pod)
	}
	shown := false // a certificate: there is one once there is a cluster
	for _, p := range ports {
		if err := l.chain(p.chains()...); err != nil {
			return fmt.Sprintf("Did not find matching outbound filter chain for service %q: %s", p.service, err)
		}
		clusters := []string{names.UpstreamCluster(p.service, p.target)}
		if p.protocol.IsHTTP() {
			host, err := d.host(names.OutboundRoutes(p.dialled()), names.OutboundVirtualHost(p.service.FQDN()))
			if err != nil {
				return fmt.Sprintf("Did not find matching outbound route configuration for service %q: %s", p.service, err)
			}
			// Of a service that is split, only its backends may have clusters.
			clusters = append(clusters, host.clusters...)
		}
		switch err := d.cluster(clusters...); {
		case err == nil:
			shown = true
		case !l.fetches(p.chains()...):
			return fmt.Sprintf("Did not find matching outbound cluster for service %q: %s", p.service, err)
		}
	}
	if err := d.secret(names.SecretServiceCert(identityOf(source))); shown && err != nil {
		return fmt.Sprintf("Client TLS secret not found for pod %q: %s", pod, err)
	}
	return ""
}

// inbound says what a server's sidecar lacks to take calls to ports of a service; "" when it lacks nothing.
func (d *dump) inbound(destination *corev1.Pod, ports []port) string {
	pod := Name{destination.Namespace, destination.Name}
	if reason := d.inboundListener(pod); reason != "" {
		return reason
	}
	l := d.listeners[names.ListenerInbound]
	for _, p := range ports {
		if err := l.chain(names.InboundChain(p.service, p.target, p.protocol)); err != nil {
			return fmt.Sprintf("Did not find matching inbound filter chain for service %q: %s", p.service, err)
		}
		if p.protocol.IsHTTP() {
			if _, err := d.host(names.InboundRoutes(p.target), names.InboundVirtualHost(p.service.FQDN())); err != nil {
				return fmt.Sprintf("Did not find matching inbound route configuration for service %q: %s", p.service, err)
			}
		}
		if err := d.cluster(names.LocalCluster(p.service, p.target)); err != nil {
			return fmt.Sprintf("Did not find matching inbound cluster for service %q: %s", p.service, err)
		}
	}
	if err := d.secret(names.SecretServiceCert(identityOf(destination))); err != nil {
		return fmt.Sprintf("Server TLS secret not found for pod %q: %s", pod, err)
	}
	return ""
}

func (d *dump) inboundListener(pod Name) string {
	switch l := d.listeners[names.ListenerInbound]; {
	case l == nil:
		return fmt.Sprintf("Inbound listener %q not found on destination pod %q", names.ListenerInbound, pod)
	case !l.active:
		return fmt.Sprintf("Inbound listener %q on destination pod %q is not active", names.ListenerInbound, pod)
	}
	return ""
}

// ingress says what a server's sidecar lacks to take calls from outside of the mesh; "" when it lacks nothing.
func (d *dump) ingress(destination *corev1.Pod, p port) string {
	if reason := d.inboundListener(Name{destination.Namespace, destination.Name}); reason != "" {
		return reason
	}
	chain := names.IngressChain(p.service, p.target, p.protocol, 0)
	if err := d.listeners[names.ListenerInbound].chain(chain); err != nil {
		return fmt.Sprintf("Did not find matching inbound filter chain for ingress %q: %s", p.service, err)
	}
	host := names.IngressVirtualHost(p.service.FQDN())
	_, err := d.host(names.IngressRoutes(p.target, false), host)
	if err != nil {
		_, err = d.host(names.IngressRoutes(p.target, true), host)
	}
	if err != nil {
		return fmt.Sprintf("Did not find matching inbound route configuration for service %q: %s", p.service, err)
	}
	if err := d.cluster(names.LocalCluster(p.service, p.target), names.LocalClusterIngress(p.service, p.target)); err != nil {
		return fmt.Sprintf("Did not find matching inbound cluster for service %q: %s", p.service, err)
	}
	return ""
}

// external says what a caller's sidecar lacks for calls out of the mesh; "" when it lacks nothing.
func (d *dump) external(source *corev1.Pod, to External) string {
	pod := Name{source.Namespace, source.Name}
	l := d.listeners[names.ListenerOutbound]
	switch {
	case l == nil:
		return fmt.Sprintf("Outbound listener %q not found on source pod %q", names.ListenerOutbound, pod)
	case !l.active:
		return fmt.Sprintf("Outbound listener %q on source pod %q is not active", names.ListenerOutbound, pod)
	}
	if !l.chains[names.EgressChain(meshid.Protocol(to.Protocol), to.Port, 0)] {
		// No Egress policy names the port: whatever no policy names passes where passthrough is on.
		if l.passthrough != names.ChainPassthrough {
			return fmt.Sprintf("Did not find matching outbound filter chain for service %q: neither filter chain %q nor %q found",
				to, names.EgressChain(meshid.Protocol(to.Protocol), to.Port, 0), names.ChainPassthrough)
		}
		return notFound(to, d.cluster(names.ClusterPassthrough))
	}
	if to.Protocol != string(meshid.HTTP) {
		return notFound(to, d.cluster(names.EgressPortCluster(to.Port)))
	}
	clusters, err := d.externalClusters(to)
	if err != nil {
		return fmt.Sprintf("Did not find outbound route configuration: %s", err)
	}
	return notFound(to, d.cluster(clusters...))
}

func notFound(to External, err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("Did not find cluster for external port %d: %s", to.Port, err)
}

// externalClusters are the clusters that requests to a host lead to; without a host, to any.
func (d *dump) externalClusters(to External) ([]string, error) {
	config := names.EgressRoutes(to.Port)
	r := d.routes[config]
	if r == nil {
		return nil, fmt.Errorf("route configuration %q not found", config)
	}
	var out []string
	for name, h := range r.hosts {
		if to.Host == "" || name == names.EgressVirtualHost(to.Host) || slices.Contains(h.domains, to.Host) {
			out = append(out, h.clusters...)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("virtual host %q not found in route configuration %q", names.EgressVirtualHost(to.Host), config)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// configOf fetches a pod and the configuration of its sidecar.
func (w World) configOf(ctx context.Context, name Name) (*corev1.Pod, *dump, error) {
	pod, err := w.GetPod(ctx, name.Namespace, name.Name)
	if err != nil {
		return nil, nil, err
	}
	d, err := w.dump(ctx, name)
	return pod, d, err
}

// protocolOf reads --app-protocol.
func protocolOf(s string) (meshid.Protocol, error) {
	p := meshid.Protocol(strings.ToLower(s))
	if slices.Contains([]meshid.Protocol{meshid.HTTP, meshid.GRPC, meshid.TCP, meshid.TCPServerFirst}, p) {
		return p, nil
	}
	return "", errors.New("must be http, grpc, tcp or tcp-server-first")
}
