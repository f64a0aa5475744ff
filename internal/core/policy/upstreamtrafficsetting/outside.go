package upstreamtrafficsetting

import (
	"fmt"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
)

// limited returns the first field that limits a rate, or "".
func limited(o *policyv1.UpstreamTrafficSetting) string {
	if r := o.Spec.RateLimit; r != nil && (r.Local != nil || r.Global != nil) {
		return "spec.rateLimit"
	}
	for i, r := range o.Spec.HTTPRoutes {
		if r.RateLimit != nil && (r.RateLimit.Local != nil || r.RateLimit.Global != nil) {
			return fmt.Sprintf("spec.httpRoutes[%d].rateLimit", i)
		}
	}
	return ""
}

// Warnings says which fields of an object that is in force have no effect.
func Warnings(o *policyv1.UpstreamTrafficSetting) []string {
	if id, cluster := service(o.Spec.Host); cluster && id.Namespace == o.Namespace {
		return nil
	}
	if field := limited(o); field != "" {
		return []string{outside(field, o.Spec.Host)}
	}
	return nil
}

// outside says why a rate is not limited: the proxies of the host itself would do it, and it has none.
func outside(field, host string) string {
	return fmt.Sprintf("%s: has no effect, since rates are limited by the proxies of spec.host and %q is no service of the mesh in this namespace; "+
		"remove it, or limit what clients do with spec.connectionSettings or spec.outlierDetection", field, host)
}
