package upstreamtrafficsetting

import (
	"fmt"
	"math"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

const (
	// minDuration is the least that the proxy counts; less would be nothing, and a timeout of nothing is none.
	minDuration = time.Millisecond
	// maxDelay bounds what holds up requests on purpose.
	maxDelay = time.Hour

	defaultConsecutive = 5
	defaultInterval    = 10 * time.Second
	defaultEjection    = 30 * time.Second
	defaultMaxPercent  = 10
)

// Mirror is where copies of requests go.
type Mirror struct {
	Service meshid.Service
	Percent uint32
}

// counted reads a duration that is 0 or long enough to be counted.
func counted(field string, d policyv1.Duration) (ir.Duration, error) {
	v, err := duration(field, d)
	if err == nil && v != 0 && time.Duration(v) < minDuration {
		err = fmt.Errorf("%s: %q is less than the proxy counts; use %s or more, or 0s for no limit", field, string(d), minDuration)
	}
	return v, err
}

// positive reads a duration, or takes the default for an absent one.
func positive(field string, d policyv1.Duration, absent time.Duration) (ir.Duration, error) {
	if d == "" {
		return ir.Duration(absent), nil
	}
	v, err := counted(field, d)
	if err == nil && v == 0 {
		err = fmt.Errorf("%s: %q is no time; use %s or more", field, string(d), minDuration)
	}
	return v, err
}

func percent(field string, p *int64) (uint32, error) {
	switch {
	case p == nil:
		return 100, nil
	case *p < 0 || *p > 100:
		return 0, fmt.Errorf("%s.percent: %d is not a percentage; use 0 to 100", field, *p)
	}
	return uint32(*p), nil
}

func outliers(in *policyv1.OutlierDetectionSpec) (*ir.Outliers, error) {
	const field = "spec.outlierDetection"
	if in == nil {
		return nil, nil
	}
	out := &ir.Outliers{Consecutive: defaultConsecutive, MaxPercent: defaultMaxPercent}
	if n := in.ConsecutiveErrors; n != nil {
		if *n < 1 || *n > math.MaxUint32 {
			return nil, fmt.Errorf("%s.consecutiveErrors: %d is out of range; use 1 to %d", field, *n, uint32(math.MaxUint32))
		}
		out.Consecutive = uint32(*n)
	}
	if n := in.MaxEjectionPercent; n != nil {
		if *n < 1 || *n > 100 {
			return nil, fmt.Errorf("%s.maxEjectionPercent: %d is out of range; use 1 to 100", field, *n)
		}
		out.MaxPercent = uint32(*n)
	}
	var err error
	if out.Interval, err = positive(field+".interval", in.Interval, defaultInterval); err != nil {
		return nil, err
	}
	out.Ejection, err = positive(field+".baseEjectionTime", in.BaseEjectionTime, defaultEjection)
	return out, err
}

// mirror reads where copies go: to a service of the object's own namespace, so that nobody sends others' requests to
// services of theirs.
func mirror(o *policyv1.UpstreamTrafficSetting) (*Mirror, error) {
	in := o.Spec.Mirror
	if in == nil {
		return nil, nil
	}
	id, mesh := service(o.Spec.Host)
	if !mesh {
		return nil, fmt.Errorf("spec.mirror: spec.host %q is no service of the mesh; only their requests are copied", o.Spec.Host)
	}
	if errs := validation.IsDNS1035Label(in.Service); len(errs) > 0 {
		return nil, fmt.Errorf("spec.mirror.service: %q is not the name of a Service in namespace %q: %s", in.Service, o.Namespace, strings.Join(errs, "; "))
	}
	out := &Mirror{Service: meshid.Service{Namespace: o.Namespace, Name: in.Service}}
	if out.Service == id {
		return nil, fmt.Errorf("spec.mirror.service: %q is the service of spec.host itself; name another", in.Service)
	}
	var err error
	out.Percent, err = percent("spec.mirror", in.Percent)
	return out, err
}

func fault(field string, in *policyv1.FaultInjectionSpec) (*ir.Fault, error) {
	if in == nil {
		return nil, nil
	}
	if in.Delay == nil && in.Abort == nil {
		return nil, fmt.Errorf("%s: says no fault; set delay, abort or both", field)
	}
	out := &ir.Fault{}
	var err error
	if d := in.Delay; d != nil {
		if out.Delay, err = positive(field+".delay.duration", d.Duration, 0); err != nil {
			return nil, err
		}
		if out.Delay == 0 || time.Duration(out.Delay) > maxDelay {
			return nil, fmt.Errorf("%s.delay.duration: %q is out of range; use %s to %s", field, string(d.Duration), minDuration, maxDelay)
		}
		if out.DelayPercent, err = percent(field+".delay", d.Percent); err != nil {
			return nil, err
		}
	}
	if a := in.Abort; a != nil {
		if a.ResponseStatusCode == 0 {
			return nil, fmt.Errorf("%s.abort.responseStatusCode: is missing; use 400 to 599", field)
		}
		if err := code(field+".abort", a.ResponseStatusCode); err != nil {
			return nil, err
		}
		out.Abort = uint32(a.ResponseStatusCode)
		if out.AbortPercent, err = percent(field+".abort", a.Percent); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inMesh refuses what only proxies of services do, or only for them, when the host is none: it would have no effect.
func inMesh(o *policyv1.UpstreamTrafficSetting) error {
	if _, cluster := service(o.Spec.Host); cluster {
		return nil
	}
	vain := func(field string) error {
		return fmt.Errorf("%s: spec.host %q is no service of the mesh; for hosts outside of it connectionSettings and outlierDetection count", field, o.Spec.Host)
	}
	if o.Spec.FaultInjection != nil {
		return vain("spec.faultInjection")
	}
	for i, r := range o.Spec.HTTPRoutes {
		field := fmt.Sprintf("spec.httpRoutes[%d]", i)
		switch {
		case r.FaultInjection != nil:
			return vain(field + ".faultInjection")
		case r.Timeout != "":
			return vain(field + ".timeout")
		case r.IdleTimeout != "":
			return vain(field + ".idleTimeout")
		}
	}
	return nil
}

// resilience reads what single routes have beside their limits.
func (r *Route) resilience(field string, in policyv1.HTTPRouteSpec) error {
	for _, t := range []struct {
		name string
		in   policyv1.Duration
		out  **ir.Duration
	}{{"timeout", in.Timeout, &r.Timeout}, {"idleTimeout", in.IdleTimeout, &r.Idle}} {
		if t.in == "" {
			continue
		}
		d, err := counted(field+"."+t.name, t.in)
		if err != nil {
			return err
		}
		*t.out = &d
	}
	var err error
	r.Fault, err = fault(field+".faultInjection", in.FaultInjection)
	return err
}
