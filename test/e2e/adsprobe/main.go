// Command adsprobe calls a controller's ADS port the ways a stranger would and prints how each call ends, one line each:
// "<what> <gRPC code>". It runs where the port can be reached (`localcluster exec`).
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"openservicemesh.io/osm/internal/core/envoy"
)

func main() {
	addr := flag.String("addr", "", "host:port of the controller")
	ca := flag.String("ca", "", "PEM file of the mesh's root")
	name := flag.String("name", "ads.cluster.local", "the name in the controller's certificate")
	token := flag.String("token", "", "token to present")
	methods := flag.Bool("methods", false, "also call every other xDS method, and in plaintext")
	flag.Parse()
	if err := run(*addr, *ca, *name, *token, *methods); err != nil {
		fmt.Fprintln(os.Stderr, "adsprobe:", err)
		os.Exit(1)
	}
}

func run(addr, ca, name, token string, methods bool) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", ca)
	}
	secure := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(secure))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	fmt.Println("delta", delta(conn, token))
	if !methods {
		return nil
	}
	for _, m := range []string{
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
		"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
		"/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters",
		"/envoy.service.listener.v3.ListenerDiscoveryService/FetchListeners",
		"/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes",
		"/envoy.service.endpoint.v3.EndpointDiscoveryService/FetchEndpoints",
		"/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
		"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		ctx, cancel := call(token)
		err := conn.Invoke(ctx, m, &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{})
		cancel()
		fmt.Println(m, status.Code(err))
	}
	plain, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = plain.Close() }()
	fmt.Println("plaintext", delta(plain, token))
	return garbage(addr)
}

func call(token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	}
	return ctx, cancel
}

// delta asks for clusters and returns how that ends: OK when something was answered.
func delta(conn *grpc.ClientConn, token string) string {
	ctx, cancel := call(token)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return status.Code(err).String()
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster)}); err != nil {
		_, err = stream.Recv()
		return status.Code(err).String()
	}
	_, err = stream.Recv()
	return status.Code(err).String()
}

// garbage writes bytes that are no TLS; the controller must close and live on.
func garbage(addr string) error {
	c, err := net.DialTimeout("tcp", addr, 3*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\xff\xff\xff\xff"))
	_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
	buf := make([]byte, 64)
	n, _ := c.Read(buf)
	fmt.Println("garbage closed", n <= len(buf))
	return nil
}
