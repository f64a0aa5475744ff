package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/version"
	"openservicemesh.io/osm/tools/images/imageset"
)

// The server's ports; each has its own cluster and filter chain, as little as can be.
const (
	portTCP  = 8078
	portGRPC = 8079
	portHTTP = 8080
	portH2   = 8081
)

type object = map[string]any
type list = []any

// floorConfig is the static configuration of one side. The client's clusters are the server pod behind mutual TLS, the
// server's are its own applications.
func floorConfig(client bool, serverIP string) string {
	port, name := int(names.PortInbound), "inbound"
	if client {
		port, name = int(names.PortOutbound), "outbound"
	}
	var chains, clusters list
	for _, p := range []int{portTCP, portGRPC, portHTTP, portH2} {
		chain := object{"filter_chain_match": object{"destination_port": p}, "filters": list{filter(p)}}
		if !client {
			chain["transport_socket"] = tlsSocket("Downstream", object{"require_client_certificate": true, "common_tls_context": tlsContext(p)})
		}
		chains, clusters = append(chains, chain), append(clusters, floorCluster(client, serverIP, p))
	}
	text, err := json.MarshalIndent(object{
		"admin": object{"address": socket("127.0.0.1", int(names.PortEnvoyAdmin))},
		"static_resources": object{
			"clusters": clusters,
			"listeners": list{object{
				"name": name, "address": socket("0.0.0.0", port), "filter_chains": chains,
				"listener_filters": list{typed("original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", object{})},
			}},
		},
	}, "", " ")
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return string(text)
}

func floorCluster(client bool, serverIP string, port int) object {
	address := "127.0.0.1"
	if client {
		address = serverIP
	}
	c := object{
		"name": clusterName(port), "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": clusterName(port), "endpoints": list{object{"lb_endpoints": list{
			object{"endpoint": object{"address": socket(address, port)}}}}}},
	}
	if client {
		c["transport_socket"] = tlsSocket("Upstream", object{"sni": "server", "common_tls_context": tlsContext(port)})
	}
	// Between the sidecars it is always HTTP/2; the server's side speaks what its application does.
	if port != portTCP && (client || port != portHTTP) {
		c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": object{"http2_protocol_options": object{}},
		}}
	}
	return c
}

func filter(port int) object {
	if port == portTCP {
		return typed("tcp", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", object{"stat_prefix": "tcp", "cluster": clusterName(port)})
	}
	return typed("http", "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", object{
		"stat_prefix": "http",
		"route_config": object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": list{
			object{"match": object{"prefix": "/"}, "route": object{"cluster": clusterName(port)}}}}}},
		"http_filters": list{typed("router", "envoy.extensions.filters.http.router.v3.Router", object{})},
	})
}

func tlsContext(port int) object {
	file := func(name string) object { return object{"filename": "/etc/envoy/" + name} }
	c := object{
		"tls_certificates":   list{object{"certificate_chain": file("cert.pem"), "private_key": file("key.pem")}},
		"validation_context": object{"trusted_ca": file("cert.pem")},
	}
	if port != portTCP {
		c["alpn_protocols"] = list{"h2"}
	}
	return c
}

func tlsSocket(side string, context object) object {
	return typed("tls", "envoy.extensions.transport_sockets.tls.v3."+side+"TlsContext", context)
}

func typed(name, message string, fields object) object {
	fields["@type"] = "type.googleapis.com/" + message
	return object{"name": name, "typed_config": fields}
}

func socket(address string, port int) object {
	return object{"socket_address": object{"address": address, "port_value": port}}
}

func clusterName(port int) string { return fmt.Sprint("port-", port) }

// floorObjects are the ConfigMap that a floor pod mounts at /etc/envoy. Its key protects nothing but a measurement.
func floorObjects(namespace, name, config, cert, key string) (string, error) {
	js, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"namespace": namespace, "name": "envoy-" + name},
		"data": object{"bootstrap.yaml": config, "cert.pem": cert, "key.pem": key},
	})
	return string(js), err
}

// floorSidecar returns the parts of a pod's manifest that make it a pod of the floor: the project's own redirection, and
// Envoy with the arguments of an injected sidecar.
func floorSidecar(name string) (initContainers, volumes string) {
	images := strings.NewReplacer("VERSION", version.Version, "NAME", name, "ENVOY", "envoyproxy/"+imageset.Envoy+":v"+imageset.EnvoyVersion)
	return images.Replace(`initContainers:
  - name: osm-init
    image: openservicemesh/init:VERSION
    command: [/osm-init]
    env:
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: POD_IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
    - {name: OSM_REDIRECT, value: '{}'}
    securityContext: {runAsUser: 0, runAsNonRoot: false, capabilities: {add: [NET_ADMIN], drop: [ALL]}}
  - name: envoy
    image: ENVOY
    restartPolicy: Always
    command: [envoy]
    args: [--log-level, error, --config-path, /etc/envoy/bootstrap.yaml, --concurrency, "2", --disable-hot-restart]
    securityContext: {runAsUser: 1500, runAsNonRoot: true}
    volumeMounts: [{name: envoy, mountPath: /etc/envoy, readOnly: true}]`),
		images.Replace(`volumes: [{name: envoy, configMap: {name: envoy-NAME}}]`)
}

// keyPair is a self-signed ECDSA P-256 certificate that both sides present and trust, PEM.
func keyPair() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "floor"}, DNSNames: []string{"server"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8), nil
}
