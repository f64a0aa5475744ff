package main

import (
	"fmt"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// size is how large the mesh is: proxies are spread evenly over services, each with one identity and some endpoints.
type size struct{ proxies, services, endpoints int }

func identity(i int) meshid.Identity {
	return meshid.Identity{Namespace: fmt.Sprint("ns", i), ServiceAccount: "app"}
}

func cluster(i int) string {
	return names.UpstreamCluster(meshid.Service{Namespace: fmt.Sprint("ns", i), Name: "app"}, 8080)
}

// private is a cluster that proxies of the first identity alone may use.
const private = "ns0/private|8080"

// config is what proxies of identity i get in permissive mode: a cluster for each service, TLS to each, one route
// configuration over all, another inbound, and two listeners.
func config(i, services, rev int) []*envoy.Resource {
	own := names.SecretServiceCert(identity(i))
	var out []*envoy.Resource
	var clusters []string
	for c := range services {
		clusters = append(clusters, cluster(c))
		out = append(out, xdstest.Cluster(cluster(c), 1, own))
	}
	if i == 0 {
		out = append(out, xdstest.Cluster(private, 1, own))
	}
	local := cluster(i) + "|local"
	return append(append(out,
		xdstest.Encode(envoy.Cluster, local, xdstest.LocalCluster(local, 8080)),
		xdstest.Listener("outbound-listener", 15001, 1, []string{"rds-outbound.8080"}, nil),
		xdstest.Listener("inbound-listener", 15003, 1, []string{"rds-inbound.8080"}, nil),
	), routes(i, rev, clusters)...)
}

// routes are what a change of policy touches.
func routes(i, rev int, clusters []string) []*envoy.Resource {
	return []*envoy.Resource{
		xdstest.Route("rds-outbound.8080", rev, clusters...), xdstest.Route("rds-inbound.8080", rev, cluster(i)+"|local"),
	}
}

func endpoints(cluster string, n int) *envoy.Resource {
	ports := make([]uint32, n)
	for i := range ports {
		ports[i] = uint32(8000 + i)
	}
	return xdstest.Endpoints(cluster, 1, ports...)
}
