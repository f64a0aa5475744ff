package xds

import (
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// FuzzRequests feeds a session with whatever a client that is allowed to connect may send. The input is a sequence of
// requests, each preceded by its length in one byte. The session must survive, keep to one response in flight per
// type, and never hand out what is not this proxy's.
func FuzzRequests(f *testing.F) {
	seed := func(reqs ...*discovery.DeltaDiscoveryRequest) {
		var in []byte
		for _, r := range reqs {
			b, err := proto.Marshal(r)
			if err != nil || len(b) > 255 {
				f.Fatal(err, len(b))
			}
			in = append(append(in, byte(len(b))), b...)
		}
		f.Add(in)
	}
	seed(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResourceNamesSubscribe: []string{"*"}},
		&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResponseNonce: "1"},
		&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Endpoint), ResourceNamesSubscribe: []string{"a", "theirs"}})
	seed(&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Listener), InitialResourceVersions: map[string]string{"l": "x", "theirs": "y"}},
		&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Secret), ResourceNamesSubscribe: []string{ownCert}},
		&discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Listener), ResourceNamesUnsubscribe: []string{"*", "l"}})
	config := envoy.NewResources([]*envoy.Resource{
		xdstest.Cluster("a", 1, ownCert), xdstest.Route("r", 1, "a"), xdstest.Listener("l", 0, 1, []string{"r"}, nil),
	})
	eps := map[string]*envoy.Resource{"a": xdstest.Endpoints("a", 1, 80), "theirs": xdstest.Endpoints("theirs", 1, 80)}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, now := NewSession(ownCert), time.Unix(1000, 0)
		s.SetDesired(Desired{Generation: 1, Config: config, Endpoints: func(c string) *envoy.Resource { return eps[c] }})
		s.SetCertificate(xdstest.Secret(ownCert, 1))
		flying := map[string]bool{}
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			req := &discovery.DeltaDiscoveryRequest{}
			if proto.Unmarshal(in[1:1+n], req) == nil {
				if out, err := s.Hears(now, req); err == nil && out != nil {
					flying[req.GetTypeUrl()] = false
				}
			}
			in = in[1+n:]
			now = now.Add(time.Second)
			for _, resp := range s.Says(now) {
				if flying[resp.GetTypeUrl()] {
					t.Fatalf("two responses of %s in flight", resp.GetTypeUrl())
				}
				flying[resp.GetTypeUrl()] = true
				for _, r := range resp.GetResources() {
					if resp.GetTypeUrl() == string(envoy.Endpoint) && r.GetName() != "a" {
						t.Fatalf("endpoints of %q were handed out", r.GetName())
					}
				}
			}
		}
	})
}
