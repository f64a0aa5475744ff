package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

const namespace = "bench-mesh"

var client = meshid.Pod{Namespace: namespace, Name: "client", UID: "client"}

// world is a mesh in permissive mode of n services, each with one endpoint; the first is the server of bench/dataplane.
func world(n int) *snapshot.Snapshot {
	parts := snapshot.Parts{
		Generation: 1,
		Mesh: snapshot.Mesh{
			Namespace: names.DefaultNamespace, TrustDomain: names.DefaultTrustDomain, Permissive: true, Detect: true,
			TLS: snapshot.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"},
		},
		Pods: []*snapshot.Pod{
			{ID: client, Identity: account("client"), ProxyUUID: "c", IPs: []netip.Addr{address(podRange, 1)}},
			{ID: meshid.Pod{Namespace: namespace, Name: "server", UID: "server"}, Identity: account("server"), ProxyUUID: "s",
				Labels: map[string]string{"app": "server"}, IPs: []netip.Addr{address(podRange, 2)}},
		},
		Endpoints: snapshot.Endpoints{},
	}
	server := &snapshot.Service{ID: meshid.Service{Namespace: namespace, Name: "server"}, ClusterIPs: []netip.Addr{address(serviceRange, 1)},
		Selector: map[string]string{"app": "server"}, Ports: []snapshot.ServicePort{
			port("http", 8080, meshid.HTTP), port("http-h2", 8081, meshid.HTTP), port("grpc", 8079, meshid.GRPC), port("tcp", 8078, meshid.TCP)}}
	parts.Services = append(parts.Services, server)
	for i := range n - 1 {
		parts.Services = append(parts.Services, &snapshot.Service{ID: meshid.Service{Namespace: namespace, Name: fmt.Sprint("filler-", i)},
			ClusterIPs: []netip.Addr{address(serviceRange, i+2)}, Ports: []snapshot.ServicePort{port("http", 8080, meshid.HTTP)}})
	}
	for i, svc := range parts.Services {
		for _, p := range svc.Ports {
			parts.Endpoints[meshid.ServicePort{Service: svc.ID, Port: p.Port}] = []snapshot.Endpoint{
				{Addr: netip.AddrPortFrom(address(podRange, i+2), p.TargetPort)}}
		}
	}
	return snapshot.New(parts)
}

func account(name string) meshid.Identity {
	return meshid.Identity{Namespace: namespace, ServiceAccount: name}
}

func port(name string, number uint16, p meshid.Protocol) snapshot.ServicePort {
	return snapshot.ServicePort{Name: name, Port: number, TargetPort: number, Protocol: p}
}

const podRange, serviceRange = 10<<24 | 244<<16, 10<<24 | 96<<16

func address(base uint32, i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], base+uint32(i))
	return netip.AddrFrom4(b)
}
