package sim

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	httplocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	httpquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netlocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"
	netquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
)

// Answer is what somebody who is asked says.
type Answer string

// The answers. The empty one is none at all.
const (
	Silence Answer = ""
	Yes     Answer = "yes"
	No      Answer = "no"
)

// Around is what a server's sidecar finds around it. It counts only for a sidecar that is told to look.
type Around struct {
	// Spent is whether the buckets of its local rate limits are empty.
	Spent bool `json:"spent"`
	// Authorizer is what the external authorizer says, Quota what the rate limit service says.
	Authorizer Answer `json:"authorizer"`
	Quota      Answer `json:"quota"`
}

const tooManyRequests = 429

// limits are the filters of a chain that count or ask.
type limits struct {
	connectionRate  bool
	connectionQuota *netquotav3.RateLimit
	// requestRates are the filters that limit rates of requests by themselves, in the order they are asked.
	requestRates []string
	authorizer   *extauthzv3.ExtAuthz
	requestQuota *httpquotav3.RateLimit
	faults       bool
}

func (l *limits) readNetwork(m proto.Message) error {
	switch m := m.(type) {
	case *netlocalv3.LocalRateLimit:
		l.connectionRate = true
	case *netquotav3.RateLimit:
		l.connectionQuota = m
	default:
		return fmt.Errorf("%T is not known to the simulator", m)
	}
	return nil
}

func (l *limits) readHTTP(manager *hcmv3.HttpConnectionManager) error {
	for _, f := range manager.HttpFilters {
		m, err := f.GetTypedConfig().UnmarshalNew()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *httprbacv3.RBAC, *routerv3.Router, *ondemandv3.OnDemand: // a cluster that comes late is a cluster
		case *faultv3.HTTPFault:
			l.faults = true
		case *httplocalv3.LocalRateLimit:
			l.requestRates = append(l.requestRates, f.Name)
		case *extauthzv3.ExtAuthz:
			l.authorizer = m
		case *httpquotav3.RateLimit:
			l.requestQuota = m
		default:
			return fmt.Errorf("HTTP filter %s: %T is not known to the simulator", f.Name, m)
		}
	}
	return nil
}

// connection names the limit that closes a connection; empty when none does.
func (l limits) connection(around Around) string {
	switch q := l.connectionQuota; {
	case l.connectionRate && around.Spent:
		return "local rate limit of connections"
	case q != nil && (around.Quota == No || around.Quota == Silence && q.FailureModeDeny):
		return "rate limit service, asked about connections"
	}
	return ""
}

// request returns the code that a request is answered with instead of being sent on, and why; 0 when none is.
func (l limits) request(r route, around Around) (int, string) {
	for _, filter := range l.requestRates {
		if m := r.limits[filter]; m != nil && around.Spent {
			return codeOr429(int(m.GetStatus().GetCode())), "local rate limit of requests"
		}
	}
	if a := l.authorizer; a != nil && (around.Authorizer == No || around.Authorizer == Silence && !a.FailureModeAllow) {
		return 403, "external authorization"
	}
	if q := l.requestQuota; q != nil && r.asks {
		switch {
		case around.Quota == No:
			return codeOr429(int(q.GetRateLimitedStatus().GetCode())), "rate limit service"
		case around.Quota == Silence && q.FailureModeDeny:
			return 500, "rate limit service, which does not answer"
		}
	}
	if l.faults && r.abort != 0 {
		return r.abort, "fault injection"
	}
	return 0, ""
}

func codeOr429(code int) int {
	if code < 400 {
		return tooManyRequests
	}
	return code
}

// readRates returns the buckets that count for a route, by the filters that draw on them: its own and its host's, but for
// those it keeps away from.
func readRates(rt, host map[string]*anypb.Any) (map[string]*httplocalv3.LocalRateLimit, error) {
	out := map[string]*httplocalv3.LocalRateLimit{}
	for _, configs := range []map[string]*anypb.Any{host, rt} { // what the route says is said last
		for name, a := range configs {
			if !filters.IsLocalRateLimit(name) {
				continue
			}
			m, err := a.UnmarshalNew()
			if err != nil {
				return nil, err
			}
			switch m := m.(type) {
			case *httplocalv3.LocalRateLimit:
				out[name] = m
			case *routev3.FilterConfig:
				if !m.Disabled || m.Config != nil {
					return nil, fmt.Errorf("%s: such a configuration is not known to the simulator: %v", name, m)
				}
				delete(out, name)
			default:
				return nil, fmt.Errorf("%s: %T is not known to the simulator", name, m)
			}
		}
	}
	return out, nil
}
