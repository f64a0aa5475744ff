package controller

import (
	"context"
	"net"
	"net/http"

	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/version"
)

// serveAdmin answers on loopback, always: the osm command asks through a port-forward, so that whoever may forward ports of
// the control plane's pods is told, and nobody else.
func (p *program) serveAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+adminapi.PathProxies, p.proxies)
	return obs.Serve(ctx, p.at.admin, localOnly(mux), nil, p.log)
}

// localOnly refuses requests whose Host is not this machine's, as those of a web page that had a name of its own resolve to
// loopback would be.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask for localhost", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (p *program) proxies(w http.ResponseWriter, r *http.Request) {
	if !p.started.Load() {
		http.Error(w, "no proxy is served yet", http.StatusServiceUnavailable)
		return
	}
	page := adminapi.Proxies{Version: version.Version, Proxies: []adminapi.Proxy{}}
	if since, err := p.authority.Outage(); err != nil {
		page.Outage = &adminapi.Outage{Since: since, Error: err.Error()}
	}
	if v := p.view.Load(); v != nil {
		page.Generation = v.Generation()
	}
	for _, s := range p.hub.Progress(r.Context()) {
		proxy := adminapi.Proxy{
			Namespace: s.Peer.Pod.Namespace, Pod: s.Peer.Pod.Name, Identity: s.Peer.Identity.String(),
			Since: s.Since, Generation: s.Generation, Acked: s.Acked,
		}
		if root, end, ok := certs.ParseVersion(s.Certificate); ok {
			proxy.Certificate = &adminapi.Certificate{Root: root, NotAfter: end}
		}
		for name, t := range s.Types {
			if proxy.Types == nil {
				proxy.Types = map[string]adminapi.Type{}
			}
			proxy.Types[name] = adminapi.Type{State: string(t.State), Resources: t.Resources}
		}
		for _, x := range s.Rejections {
			proxy.Rejections = append(proxy.Rejections, adminapi.Rejection{
				Type: string(x.Type), Name: x.Name, Version: x.Version, Message: x.Message})
		}
		page.Proxies = append(page.Proxies, proxy)
	}
	write(w, page)
}
