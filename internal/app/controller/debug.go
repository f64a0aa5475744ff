package controller

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/obs"
)

// heldTimeout bounds asking a stream what its proxy holds.
const heldTimeout = 2 * time.Second

// debugServer serves the pages of port 9092 while MeshConfig asks for it; otherwise connections are refused.
type debugServer struct {
	addr string
	p    *program
	log  *slog.Logger
	want chan bool
}

func newDebugServer(addr string, p *program, log *slog.Logger) *debugServer {
	return &debugServer{addr: addr, p: p, log: log, want: make(chan bool, 1)}
}

// set says whether the server should run; the newest word counts. It is called from one goroutine.
func (d *debugServer) set(on bool) {
	select {
	case <-d.want:
	default:
	}
	d.want <- on
}

func (d *debugServer) run(ctx context.Context) {
	var stop context.CancelFunc
	stopped := make(chan struct{})
	for {
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
				<-stopped
			}
			return
		case on := <-d.want:
			if on == (stop != nil) {
				continue
			}
			if !on {
				stop()
				<-stopped
				stop = nil
				d.log.Info("the debug server is closed")
				continue
			}
			var serving context.Context
			serving, stop = context.WithCancel(ctx) //nolint:gosec // stop is called above
			stopped = make(chan struct{})
			go func() {
				defer close(stopped)
				d.log.Info("the debug server is open", "address", d.addr)
				if err := obs.Serve(serving, d.addr, d.routes(), nil, d.log); err != nil {
					d.log.Error("the debug server failed", "error", err)
				}
			}()
		}
	}
}

func (d *debugServer) routes() http.Handler {
	pages := map[string]http.HandlerFunc{
		"/debug/certs":         d.certs,
		"/debug/xds":           d.xds,
		"/debug/proxy":         d.proxy,
		"/debug/namespaces":    func(w http.ResponseWriter, _ *http.Request) { write(w, d.p.source.MonitoredNamespaces()) },
		"/debug/feature-flags": d.onSnapshot(func(s *snapshot.Snapshot) any { return s.Mesh.FeatureFlags }),
		"/debug/config":        d.onSnapshot(func(s *snapshot.Snapshot) any { return s.Mesh }),
		"/debug/policies":      d.onSnapshot(policyNames),
		"/debug/pprof/":        pprof.Index,
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
	}
	mux := http.NewServeMux()
	var index []string
	for path, page := range pages {
		mux.HandleFunc(path, page)
		index = append(index, path)
	}
	slices.Sort(index)
	mux.HandleFunc("/debug", func(w http.ResponseWriter, _ *http.Request) { write(w, index) })
	return mux
}

func (d *debugServer) onSnapshot(page func(*snapshot.Snapshot) any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		v := d.p.view.Load()
		if v == nil {
			http.Error(w, "there is no snapshot yet: "+d.p.source.Waiting(), http.StatusServiceUnavailable)
			return
		}
		write(w, page(v.Snapshot()))
	}
}

func policyNames(s *snapshot.Snapshot) any {
	out := map[string][]string{}
	for kind, list := range s.Policies {
		for _, o := range list {
			out[kind] = append(out[kind], o.GetNamespace()+"/"+o.GetName())
		}
	}
	return out
}

// certs tells about the root; keys and workload certificates are not kept, so they cannot be shown.
func (d *debugServer) certs(w http.ResponseWriter, _ *http.Request) {
	if !d.p.started.Load() {
		http.Error(w, "there is no root certificate yet", http.StatusServiceUnavailable)
		return
	}
	write(w, map[string]any{"root": d.p.authority.RootID(), "notAfter": d.p.authority.RootNotAfter(), "trustBundle": string(d.p.authority.TrustBundle())})
}

// xds lists the streams and what proxies refuse.
func (d *debugServer) xds(w http.ResponseWriter, _ *http.Request) {
	if !d.p.started.Load() {
		http.Error(w, "no proxy is served yet", http.StatusServiceUnavailable)
		return
	}
	write(w, map[string]any{"connections": d.p.hub.Connections(), "rejections": d.p.hub.Rejections()})
}

// proxy shows one proxy, ?uuid=<osm-proxy-uuid> or ?pod=<namespace>/<name>: what it holds, and with cfg what it is told.
// Without either it lists the proxies.
func (d *debugServer) proxy(w http.ResponseWriter, r *http.Request) {
	v := d.p.view.Load()
	if v == nil {
		http.Error(w, "there is no snapshot yet", http.StatusServiceUnavailable)
		return
	}
	q := r.URL.Query()
	uuid, name := q.Get("uuid"), q.Get("pod")
	if uuid == "" && name == "" {
		d.xds(w, r)
		return
	}
	i := slices.IndexFunc(v.Snapshot().Pods, func(p *snapshot.Pod) bool {
		return (uuid != "" && p.ProxyUUID == uuid) || (name != "" && p.ID.String() == name)
	})
	if i < 0 {
		http.Error(w, "no pod of the mesh has that uuid or name", http.StatusNotFound)
		return
	}
	pod := v.Snapshot().Pods[i].ID
	ctx, cancel := context.WithTimeout(r.Context(), heldTimeout)
	defer cancel()
	page := map[string]any{"pod": pod, "held": d.p.hub.Held(ctx, pod)}
	if q.Has("cfg") {
		page["config"] = d.config(pod)
	}
	write(w, page)
}

func (d *debugServer) config(pod meshid.Pod) map[string]json.RawMessage {
	v := d.p.view.Load()
	key, ok := v.Place(pod)
	resources := v.Config(key)
	if !ok || resources == nil {
		return nil
	}
	out := map[string]json.RawMessage{}
	for _, t := range envoy.Types() {
		for _, res := range resources.List(t) {
			if b, err := (protojson.MarshalOptions{}).Marshal(res.Body()); err == nil {
				out[strings.TrimPrefix(string(t), "type.googleapis.com/")+"/"+res.Name] = b
			}
		}
	}
	return out
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // fails only when the client went away
}
