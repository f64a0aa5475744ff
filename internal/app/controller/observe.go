package controller

import (
	"sync"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/xds"
)

// observer turns what happens on streams into metrics. It is an xds.Observer.
type observer struct {
	metrics *obs.Metrics
	stages  *stages
	view    func() *pipeline.View

	mu sync.Mutex
	// proxies are the pods that have, or had, a stream.
	proxies map[meshid.Pod]*proxySeen
}

type proxySeen struct {
	uuid, identity string
	streams        int
}

// Connected counts a stream, and as a reconnect if the pod had one before.
func (o *observer) Connected(p xds.Peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.proxies == nil {
		o.proxies = map[meshid.Pod]*proxySeen{}
	}
	seen := o.proxies[p.Pod]
	if seen == nil {
		seen = &proxySeen{uuid: o.lookup(p.Pod), identity: p.Identity.String()}
		o.proxies[p.Pod] = seen
	} else {
		o.metrics.ProxyReconnected()
	}
	seen.streams++
	o.metrics.ProxyConnected()
}

// lookup returns the value of the pod's osm-proxy-uuid label; a pod that no snapshot has yet is known by its UID.
func (o *observer) lookup(pod meshid.Pod) string {
	if v := o.view(); v != nil {
		if p := v.Snapshot().Pod(pod); p != nil && p.ProxyUUID != "" {
			return p.ProxyUUID
		}
	}
	return pod.UID
}

// Disconnected counts the end of a stream; with a pod's last one its series end.
func (o *observer) Disconnected(p xds.Peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.proxies[p.Pod]
	if seen == nil {
		return
	}
	o.metrics.ProxyDisconnected()
	seen.streams--
	if seen.streams == 0 {
		o.metrics.ProxyLeft(seen.uuid, seen.identity)
	}
}

// forget drops pods that are gone and have no stream.
func (o *observer) forget(s *snapshot.Snapshot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for pod, seen := range o.proxies {
		if seen.streams == 0 && s.Pod(pod) == nil {
			delete(o.proxies, pod)
		}
	}
}

// names returns the labels of the peer's series.
func (o *observer) names(p xds.Peer) (uuid, identity string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seen := o.proxies[p.Pod]; seen != nil {
		return seen.uuid, seen.identity
	}
	return p.Pod.UID, p.Identity.String()
}

// Request counts a request, and the time a proxy took to take or refuse a response.
func (o *observer) Request(p xds.Peer, t envoy.TypeURL, outcome *xds.Outcome) {
	uuid, identity := o.names(p)
	o.metrics.ProxyRequest(uuid, identity, string(t))
	if outcome != nil {
		o.metrics.ConfigUpdated(string(t), outcome.Took, outcome.Refused == "")
	}
}

// Sent counts a response.
func (o *observer) Sent(p xds.Peer, t envoy.TypeURL, _, bytes int, err error) {
	if err == nil {
		o.stages.sent(string(t), bytes)
	}
	uuid, identity := o.names(p)
	o.metrics.ProxyResponse(uuid, identity, string(t), err)
}

// Refused counts a stream that was not let in.
func (o *observer) Refused(code string) {
	if code == xds.CodeTooMany {
		o.metrics.ProxyRejected()
		return
	}
	o.metrics.ErrorCode(errcode.Code(code))
}

// reviews counts admission reviews. It is a server.Observer.
type reviews struct{ metrics *obs.Metrics }

// AdmissionResponse counts an answer; the kind is the request's word, so only those that the webhook judges make series.
func (r reviews) AdmissionResponse(kind string, allowed bool, _ time.Duration) {
	switch kind {
	case "TrafficTarget", "Egress", "IngressBackend", "UpstreamTrafficSetting":
	default:
		kind = "other"
	}
	r.metrics.Admission(kind, allowed)
}

// Failure counts a request that got no answer.
func (r reviews) Failure(code errcode.Code) { r.metrics.ErrorCode(code) }
