package xds

import (
	"strconv"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// message is a response as protobuf has it.
func (r *Response) message() *discovery.DeltaDiscoveryResponse {
	out := &discovery.DeltaDiscoveryResponse{
		SystemVersionInfo: strconv.FormatUint(r.Generation, 10), TypeUrl: string(r.Type), Nonce: r.Nonce, RemovedResources: r.removes,
	}
	for _, d := range r.adds {
		out.Resources = append(out.Resources, &discovery.Resource{Name: d.res.Name, Version: wire(d.res, d.with), Resource: d.res.Body()})
	}
	return out
}

// Says is Next as messages.
func (s *Session) Says(now time.Time) []*discovery.DeltaDiscoveryResponse {
	var out []*discovery.DeltaDiscoveryResponse
	for _, r := range s.Next(now) {
		out = append(out, r.message())
	}
	return out
}

// Sizes are the lengths of everything the hub keeps, for tests that look for leaks.
func (h *Hub) Sizes() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return map[string]int{
		"conns": len(h.conns), "behind": len(h.behind), "refusing": len(h.refusing), "pods": len(h.byPod),
		"groups": len(h.groups), "interest": len(h.interest), "waiting": h.waiting,
	}
}

// Hears is Handle of a message, over the wire.
func (s *Session) Hears(now time.Time, message *discovery.DeltaDiscoveryRequest) (*Outcome, error) {
	b, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	req := &Request{}
	if err := decodeRequest(b, req); err != nil {
		return nil, err
	}
	return s.Handle(now, req)
}
