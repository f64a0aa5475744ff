// Package upstreamtrafficsetting compiles UpstreamTrafficSetting objects (policy.openservicemesh.io/v1alpha1). Input: the
// objects. Output: limits of clients and of servers, findings, and why an object is refused at admission. It imports the api
// types, meshid, names, snapshot and ir; no other policy kind.
package upstreamtrafficsetting

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
)

// Kind is the kind this package judges.
const Kind = "UpstreamTrafficSetting"

// Validate says why an object is refused at admission; nil when it is not. others are the objects of the kind there are, of
// any namespace; two in one namespace must not speak of the same host, since only one could count. exists tells whether the
// mesh has a service.
func Validate(o *policyv1.UpstreamTrafficSetting, others []*policyv1.UpstreamTrafficSetting, exists func(meshid.Service) bool) error {
	if _, err := compile(o); err != nil {
		return err
	}
	if err := namespace(o, exists); err != nil {
		return err
	}
	for _, other := range others {
		if other.Namespace == o.Namespace && other.Name != o.Name && strings.EqualFold(other.Spec.Host, o.Spec.Host) {
			return conflict(o, other.Name)
		}
	}
	return nil
}

// host checks that the host is a whole name.
func host(o *policyv1.UpstreamTrafficSetting) error {
	if errs := validation.IsDNS1123Subdomain(strings.ToLower(o.Spec.Host)); len(errs) > 0 {
		return fmt.Errorf("spec.host: %q is not a fully qualified domain name: %s", o.Spec.Host, strings.Join(errs, "; "))
	}
	if !strings.Contains(o.Spec.Host, ".") {
		return fmt.Errorf("spec.host: %q is not a fully qualified domain name; a service of the mesh is <service>.<namespace>.svc.cluster.local", o.Spec.Host)
	}
	return nil
}

// namespace checks that the object is where the service of the mesh is that it is about: only who may write there may limit
// it. A service of a namespace outside of the mesh is a host like any other, which an Egress calls: its setting lies beside
// the Egress.
func namespace(o *policyv1.UpstreamTrafficSetting, exists func(meshid.Service) bool) error {
	if id, cluster := service(o.Spec.Host); cluster && id.Namespace != o.Namespace && exists(id) {
		return fmt.Errorf("spec.host: %q is a service of namespace %q, so its UpstreamTrafficSetting must be in that namespace, not in %q",
			o.Spec.Host, id.Namespace, o.Namespace)
	}
	return nil
}

func conflict(o *policyv1.UpstreamTrafficSetting, other string) error {
	return fmt.Errorf("spec.host: %q is already the host of UpstreamTrafficSetting %s/%s; change that one instead", o.Spec.Host, o.Namespace, other)
}

// codes checks every responseStatusCode; 0 is an absent one.
func codes(o *policyv1.UpstreamTrafficSetting) error {
	if r := o.Spec.RateLimit; r != nil {
		if r.Local != nil && r.Local.HTTP != nil {
			if err := code("spec.rateLimit.local.http", r.Local.HTTP.ResponseStatusCode); err != nil {
				return err
			}
		}
		if r.Global != nil && r.Global.HTTP != nil {
			if err := code("spec.rateLimit.global.http", r.Global.HTTP.ResponseStatusCode); err != nil {
				return err
			}
		}
	}
	for i, h := range o.Spec.HTTPRoutes {
		if h.RateLimit == nil || h.RateLimit.Local == nil {
			continue
		}
		if err := code(fmt.Sprintf("spec.httpRoutes[%d].rateLimit.local", i), h.RateLimit.Local.ResponseStatusCode); err != nil {
			return err
		}
	}
	return nil
}

// statuses are the error codes that Envoy knows; over another it refuses the whole configuration.
var statuses = []int{
	400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426, 428, 429, 431,
	500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
}

// Statuses lists the codes that requests over a limit can be answered with.
func Statuses() []int { return slices.Clone(statuses) }

func code(field string, c int) error {
	if c != 0 && (c < 400 || c > 599) {
		return fmt.Errorf("%s.responseStatusCode: %d is not an error status; use 400 to 599", field, c)
	}
	if c != 0 && !slices.Contains(statuses, c) {
		return fmt.Errorf("%s.responseStatusCode: %d is not a status the proxy knows; use one of %v", field, c, statuses)
	}
	return nil
}
