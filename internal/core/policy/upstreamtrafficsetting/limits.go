package upstreamtrafficsetting

import (
	"fmt"
	"math"
	"time"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
)

// Limits reads spec.connectionSettings and spec.outlierDetection: what clients keep to. It is nil when nothing is limited. The error names the
// field and the value; then nothing of the object's limits is in force.
func Limits(o *policyv1.UpstreamTrafficSetting) (*ir.Limits, error) {
	l := ir.Limits{}
	var err error
	if l.Outliers, err = outliers(o.Spec.OutlierDetection); err != nil {
		return nil, err
	}
	c := o.Spec.ConnectionSettings
	if c == nil {
		c = &policyv1.ConnectionSettingsSpec{}
	}
	number := func(field string, v *int64) *uint32 {
		if v == nil {
			return nil
		}
		if *v < 0 || *v > math.MaxUint32 {
			err = fmt.Errorf("spec.connectionSettings.%s: %d is not between 0 and %d", field, *v, uint32(math.MaxUint32))
			return nil
		}
		n := uint32(*v)
		return &n
	}
	if tcp := c.TCP; tcp != nil {
		l.MaxConnections = number("tcp.maxConnections", tcp.MaxConnections)
		d, derr := duration("spec.connectionSettings.tcp.connectTimeout", tcp.ConnectTimeout)
		if derr != nil {
			return nil, derr
		}
		l.ConnectTimeout = time.Duration(d)
		if l.ConnectionIdle, derr = counted("spec.connectionSettings.tcp.idleTimeout", tcp.IdleTimeout); derr != nil {
			return nil, derr
		}
	}
	if http := c.HTTP; http != nil {
		l.MaxRequests = number("http.maxRequests", http.MaxRequests)
		l.MaxRequestsPerConnection = number("http.maxRequestsPerConnection", http.MaxRequestsPerConnection)
		l.MaxPendingRequests = number("http.maxPendingRequests", http.MaxPendingRequests)
		l.MaxRetries = number("http.maxRetries", http.MaxRetries)
		var derr error
		if l.RequestTimeout, derr = counted("spec.connectionSettings.http.requestTimeout", http.RequestTimeout); derr != nil {
			return nil, derr
		}
		if l.IdleTimeout, derr = counted("spec.connectionSettings.http.idleTimeout", http.IdleTimeout); derr != nil {
			return nil, derr
		}
	}
	if err != nil {
		return nil, err
	}
	if l == (ir.Limits{}) {
		return nil, nil
	}
	return &l, nil
}
