package podpatch

import (
	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/capture"
)

// TrafficOf reads the lists of a MeshConfig.
func TrafficOf(in configv1alpha2.TrafficSpec) Traffic {
	return Traffic{
		OutboundPorts: in.OutboundPortExclusionList, InboundPorts: in.InboundPortExclusionList,
		OutboundRanges: in.OutboundIPRangeExclusionList, OutboundRangesOnly: in.OutboundIPRangeInclusionList,
		Interfaces: in.NetworkInterfaceExclusionList,
	}
}

// Redirection is what a pod with some annotations is told to redirect when it starts, but for the sidecar's own ports.
func Redirection(t Traffic, annotations map[string]string, podIPMode bool) (capture.Config, error) {
	c, err := t.union(annotations)
	c.PodIPMode = podIPMode
	return c, err
}
