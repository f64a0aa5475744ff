package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/envoy/filters"
)

// dump is what is read of an Envoy's config_dump?include_eds: names, and who refers to whom.
type dump struct {
	listeners map[string]*listener
	routes    map[string]*routeConfig
	// clusters maps the name of a cluster to the addresses of its endpoints.
	clusters map[string]map[string]bool
	secrets  map[string]bool
}

type listener struct {
	active bool
	chains map[string]bool
	// fetching are the chains whose calls have the sidecar fetch a cluster that it does not have.
	fetching map[string]bool
	// passthrough is the name of the default filter chain.
	passthrough string
}

// routeConfig maps the name of a virtual host to the clusters that its routes lead to.
type routeConfig struct{ hosts map[string]virtualHost }

type virtualHost struct {
	domains  []string
	clusters []string
}

// The parts of a dump, as Envoy writes them.
type (
	rawChain struct {
		Name    string `json:"name"`
		Filters []struct {
			Config struct {
				// Of an HTTP connection manager.
				HTTPFilters []struct {
					Name string `json:"name"`
				} `json:"http_filters"`
				// Of a TCP proxy.
				OnDemand *struct{} `json:"on_demand"`
			} `json:"typed_config"`
		} `json:"filters"`
	}
	rawListener struct {
		Name               string     `json:"name"`
		FilterChains       []rawChain `json:"filter_chains"`
		DefaultFilterChain struct {
			Name string `json:"name"`
		} `json:"default_filter_chain"`
	}
	rawRoutes struct {
		Name         string `json:"name"`
		VirtualHosts []struct {
			Name    string   `json:"name"`
			Domains []string `json:"domains"`
			Routes  []struct {
				Route struct {
					Cluster  string `json:"cluster"`
					Weighted struct {
						Clusters []struct {
							Name string `json:"name"`
						} `json:"clusters"`
					} `json:"weighted_clusters"`
				} `json:"route"`
			} `json:"routes"`
		} `json:"virtual_hosts"`
	}
	rawSection struct {
		Type             string `json:"@type"`
		DynamicListeners []struct {
			Name        string `json:"name"`
			ActiveState *struct {
				Listener rawListener `json:"listener"`
			} `json:"active_state"`
		} `json:"dynamic_listeners"`
		DynamicRoutes []struct {
			RouteConfig rawRoutes `json:"route_config"`
		} `json:"dynamic_route_configs"`
		DynamicClusters []struct {
			Cluster struct {
				Name string `json:"name"`
			} `json:"cluster"`
		} `json:"dynamic_active_clusters"`
		DynamicEndpoints []struct {
			Config rawEndpoints `json:"endpoint_config"`
		} `json:"dynamic_endpoint_configs"`
		DynamicSecrets []struct {
			Name string `json:"name"`
		} `json:"dynamic_active_secrets"`
	}
	rawEndpoints struct {
		Cluster   string `json:"cluster_name"`
		Endpoints []struct {
			Endpoints []struct {
				Endpoint struct {
					Address struct {
						Socket struct {
							Address string `json:"address"`
						} `json:"socket_address"`
					} `json:"address"`
				} `json:"endpoint"`
			} `json:"lb_endpoints"`
		} `json:"endpoints"`
	}
)

// parse reads a dump. Sections of a type it does not know are passed over.
func parse(text []byte) (*dump, error) {
	var raw struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("the sidecar's answer is no configuration dump: %w", err)
	}
	d := &dump{listeners: map[string]*listener{}, routes: map[string]*routeConfig{}, clusters: map[string]map[string]bool{}, secrets: map[string]bool{}}
	for _, config := range raw.Configs {
		var s rawSection
		if err := json.Unmarshal(config, &s); err != nil {
			return nil, fmt.Errorf("the sidecar's answer is no configuration dump: %w", err)
		}
		d.add(s)
	}
	return d, nil
}

func (d *dump) add(s rawSection) {
	for _, l := range s.DynamicListeners {
		out := &listener{active: l.ActiveState != nil, chains: map[string]bool{}, fetching: map[string]bool{}}
		if out.active {
			for _, c := range l.ActiveState.Listener.FilterChains {
				out.chains[c.Name] = true
				out.fetching[c.Name] = c.fetches()
			}
			out.passthrough = l.ActiveState.Listener.DefaultFilterChain.Name
		}
		d.listeners[l.Name] = out
	}
	for _, r := range s.DynamicRoutes {
		d.routes[r.RouteConfig.Name] = hostsOf(r.RouteConfig)
	}
	for _, c := range s.DynamicClusters {
		if d.clusters[c.Cluster.Name] == nil {
			d.clusters[c.Cluster.Name] = map[string]bool{}
		}
	}
	for _, e := range s.DynamicEndpoints {
		at := map[string]bool{}
		for _, group := range e.Config.Endpoints {
			for _, one := range group.Endpoints {
				at[one.Endpoint.Address.Socket.Address] = true
			}
		}
		d.clusters[e.Config.Cluster] = at
	}
	for _, s := range s.DynamicSecrets {
		d.secrets[s.Name] = true
	}
}

// fetches reports whether calls of a chain wait while the sidecar fetches their cluster.
func (c rawChain) fetches() bool {
	for _, f := range c.Filters {
		if f.Config.OnDemand != nil {
			return true
		}
		for _, h := range f.Config.HTTPFilters {
			if h.Name == filters.NameOnDemand {
				return true
			}
		}
	}
	return false
}

func hostsOf(raw rawRoutes) *routeConfig {
	out := &routeConfig{hosts: map[string]virtualHost{}}
	for _, h := range raw.VirtualHosts {
		host := virtualHost{domains: h.Domains}
		for _, r := range h.Routes {
			if r.Route.Cluster != "" {
				host.clusters = append(host.clusters, r.Route.Cluster)
			}
			for _, c := range r.Route.Weighted.Clusters {
				host.clusters = append(host.clusters, c.Name)
			}
		}
		out.hosts[h.Name] = host
	}
	return out
}

// chain says whether a listener has a filter chain of any of the names.
func (l *listener) chain(anyOf ...string) error {
	if !slices.ContainsFunc(anyOf, func(n string) bool { return l.chains[n] }) {
		return notOne("filter chain", anyOf)
	}
	return nil
}

// fetches reports whether any of the chains fetches clusters with the first call to them.
func (l *listener) fetches(anyOf ...string) bool {
	return slices.ContainsFunc(anyOf, func(n string) bool { return l.fetching[n] })
}

// host finds a virtual host of a route configuration.
func (d *dump) host(config, name string) (virtualHost, error) {
	r := d.routes[config]
	if r == nil {
		return virtualHost{}, fmt.Errorf("route configuration %q not found", config)
	}
	h, ok := r.hosts[name]
	if !ok {
		return virtualHost{}, fmt.Errorf("virtual host %q not found in route configuration %q", name, config)
	}
	if len(h.clusters) == 0 {
		return virtualHost{}, fmt.Errorf("virtual host %q in route configuration %q has no routes", name, config)
	}
	return h, nil
}

// cluster says whether any of the names is a cluster.
func (d *dump) cluster(anyOf ...string) error {
	for _, n := range anyOf {
		if _, ok := d.clusters[n]; ok {
			return nil
		}
	}
	return notOne("cluster", anyOf)
}

// notOne says that nothing of a kind has any of the names.
func notOne(kind string, anyOf []string) error {
	sorted := slices.Compact(slices.Sorted(slices.Values(anyOf)))
	return fmt.Errorf("%s \"%s\" not found", kind, strings.Join(sorted, `" or "`))
}

func (d *dump) secret(name string) error {
	if !d.secrets[name] {
		return fmt.Errorf("secret %q not found", name)
	}
	return nil
}
