// Package adminapi is the shape of what the controller tells on its loopback port, which is reached through a port-forward and so
// by whoever may forward ports of the control plane's pods. Input: nothing. Output: types that the controller encodes and the
// osm command decodes, as JSON. It imports the standard library and names only.
package adminapi

import "time"

// PathProxies is the page that lists the proxies connected to one replica: a Proxies.
const PathProxies = "/proxies"

// Proxies are the proxies connected to one replica of the controller.
type Proxies struct {
	// Version is the controller's, Generation that of the newest snapshot.
	Version    string  `json:"version"`
	Generation uint64  `json:"generation"`
	Proxies    []Proxy `json:"proxies"`
	// Outage is that of the certificate authority; nil when certificates are issued.
	Outage *Outage `json:"outage,omitempty"`
}

// Outage is a time in which no certificate is issued.
type Outage struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// Proxy is one connected proxy.
type Proxy struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	// Identity is "<service account>.<namespace>".
	Identity string `json:"identity"`
	// Since is when the proxy connected.
	Since time.Time `json:"since"`
	// Generation is that of the snapshot it is to have, Acked the newest it has acknowledged in full.
	Generation uint64 `json:"generation"`
	Acked      uint64 `json:"acked"`
	// Types is by CDS, EDS, LDS, RDS, SDS; nil when the proxy's stream was too busy to say.
	Types      map[string]Type `json:"types,omitempty"`
	Rejections []Rejection     `json:"rejections,omitempty"`
	// Certificate is its own, as it has acknowledged it; nil before that.
	Certificate *Certificate `json:"certificate,omitempty"`
}

// Certificate is what a proxy shows to others, without what is secret.
type Certificate struct {
	// Root is the id of the root that signed it.
	Root string `json:"root"`
	// NotAfter is when it ends.
	NotAfter time.Time `json:"notAfter"`
}

// Type is how far a proxy is with one type of resource.
type Type struct {
	// State is SYNCED, STALE, REJECTED or NOT SENT.
	State string `json:"state"`
	// Resources is how many the proxy has acknowledged.
	Resources int `json:"resources"`
}

// Rejection is a resource that the proxy refused; it keeps the version it had before.
type Rejection struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Message is Envoy's.
	Message string `json:"message"`
}
