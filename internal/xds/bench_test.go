package xds

import (
	"context"
	"fmt"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// silent is a stream nobody reads or writes.
type silent struct{ ctx context.Context }

func (s silent) Context() context.Context { return s.ctx }
func (s silent) SendMsg(any) error        { return nil }
func (s silent) RecvMsg(any) error        { return context.Canceled }

// noCertificates never issues.
type noCertificates struct{}

func (noCertificates) Issue(context.Context, meshid.Identity) (*envoy.Resource, time.Time, error) {
	return nil, time.Time{}, context.Canceled
}
func (noCertificates) Current(meshid.Identity, string) (time.Time, bool) { return time.Time{}, false }
func (noCertificates) Changed() <-chan struct{}                          { return nil }

// BenchmarkEndpointOfTen is what the hub spends on a change of an endpoint that ten streams use, beside more and more others.
func BenchmarkEndpointOfTen(b *testing.B) {
	for _, others := range []int{0, 100, 1000, 5000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			h := NewHub(noCertificates{}, Options{})
			view := xdstest.NewView()
			view.Plan = new(int)
			for i := range 10 + others {
				id := meshid.Identity{Namespace: "ns", ServiceAccount: "few"}
				if i >= 10 {
					id.ServiceAccount = fmt.Sprint("others-", i%100)
				}
				p := meshid.Pod{Namespace: "ns", Name: fmt.Sprint("p", i), UID: fmt.Sprint(i)}
				view.Add(p, id, xdstest.Cluster("c-"+id.ServiceAccount, 1))
				if err := h.join(newConn(h, Peer{Pod: p, Identity: id}, silent{b.Context()}, func() {}, time.Now())); err != nil {
					b.Fatal(err)
				}
			}
			h.SetView(view)
			few := h.groups[plan.NewKey(meshid.Identity{Namespace: "ns", ServiceAccount: "few"}, nil, false, false)]
			eds := [2]*envoy.Resource{xdstest.Endpoints("c-few", 1, 1), xdstest.Endpoints("c-few", 1, 2)}
			views := [2]*xdstest.View{view.Next(), view.Next()}
			for i := range views {
				views[i].EDS["c-few"] = eds[i]
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				h.SetView(views[n%2])
				for c := range few.conns {
					c.mail.endpoints = nil // nobody collects
				}
			}
		})
	}
}

// BenchmarkJoin is a session's part of a join: everything subscribed, sent and acknowledged.
func BenchmarkJoin(b *testing.B) {
	for _, clusters := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("clusters=%d", clusters), func(b *testing.B) {
			var list []*envoy.Resource
			var names []string
			eds := map[string]*envoy.Resource{}
			for i := range clusters {
				name := fmt.Sprint("c", i)
				names = append(names, name)
				list = append(list, xdstest.Cluster(name, 1))
				eds[name] = xdstest.Endpoints(name, 1, 8080)
			}
			list = append(list, xdstest.Listener("l", 15001, 1, []string{"r"}, nil), xdstest.Route("r", 1, names...))
			config, now := envoy.NewResources(list), time.Unix(1000, 0)
			b.ReportAllocs()
			for b.Loop() {
				s := NewSession("own")
				s.SetDesired(Desired{Generation: 1, Config: config, Endpoints: func(c string) *envoy.Resource { return eds[c] }})
				hear := func(req *Request) {
					if _, err := s.Handle(now, req); err != nil {
						b.Fatal(err)
					}
				}
				subscribe := func(t envoy.TypeURL, names ...string) {
					hear(&Request{Type: t, Subscribe: names})
				}
				subscribe(envoy.Cluster, "*")
				for sent := s.Next(now); len(sent) > 0; sent = s.Next(now) {
					for _, resp := range sent {
						hear(&Request{Type: resp.Type, Nonce: resp.Nonce})
						switch resp.Type {
						case envoy.Cluster:
							subscribe(envoy.Endpoint, names...)
							subscribe(envoy.Listener, "*")
						case envoy.Listener:
							subscribe(envoy.Route, "r")
						}
					}
				}
				if !s.Settled() {
					b.Fatal("the join is not complete")
				}
			}
		})
	}
}
