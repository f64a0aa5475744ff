package convert

import (
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/scrape"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Pod is a pod and the container ports that named target ports may mean.
type Pod struct {
	snapshot.Pod
	// PortNames are the named TCP ports of all containers; the first container that has a name wins.
	PortNames map[string]uint16
}

// PodOf converts a pod; false means that it has finished and counts no more.
func PodOf(in *corev1.Pod) (Pod, bool) {
	if in.Status.Phase == corev1.PodSucceeded || in.Status.Phase == corev1.PodFailed {
		return Pod{}, false
	}
	account := in.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	scraped, _ := strconv.ParseBool(in.Annotations[names.AnnotationScrape])
	source, _ := scrape.Read(in.Annotations)
	out := Pod{Pod: snapshot.Pod{
		ID:        meshid.Pod{Namespace: in.Namespace, Name: in.Name, UID: string(in.UID)},
		Identity:  meshid.Identity{Namespace: in.Namespace, ServiceAccount: account},
		ProxyUUID: in.Labels[names.LabelProxyUUID],
		Labels:    maps.Clone(in.Labels),
		Scrape:    scraped,
		Metrics:   snapshot.MetricsSource(source),
		Workload:  scrape.WorkloadOf(in),
		Finished:  finished(in),
	}}
	texts := make([]string, 0, len(in.Status.PodIPs))
	for _, ip := range in.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	if len(texts) == 0 {
		texts = append(texts, in.Status.PodIP)
	}
	out.IPs = addrs(texts)
	texts = texts[:0]
	for _, ip := range in.Status.HostIPs {
		texts = append(texts, ip.IP)
	}
	if len(texts) == 0 && in.Status.HostIP != "" {
		texts = append(texts, in.Status.HostIP)
	}
	out.NodeIPs = addrs(texts)
	for _, list := range [][]corev1.Container{in.Spec.Containers, in.Spec.InitContainers} {
		for _, c := range list {
			out.addPorts(c)
		}
	}
	return out, true
}

func (p *Pod) addPorts(c corev1.Container) {
	for _, port := range c.Ports {
		if port.Name == "" || (port.Protocol != corev1.ProtocolTCP && port.Protocol != "") {
			continue
		}
		if p.PortNames == nil {
			p.PortNames = map[string]uint16{}
		}
		if _, taken := p.PortNames[port.Name]; !taken {
			p.PortNames[port.Name] = uint16(port.ContainerPort)
		}
	}
}
