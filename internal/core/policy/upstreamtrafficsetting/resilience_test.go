package upstreamtrafficsetting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

func read(t *testing.T, spec string) *policyv1.UpstreamTrafficSetting {
	t.Helper()
	o := &policyv1.UpstreamTrafficSetting{}
	require.NoError(t, yaml.UnmarshalStrict([]byte("metadata: {namespace: shop, name: u}\nspec: "+spec), o))
	if o.Spec.Host == "" {
		o.Spec.Host = "web.shop.svc.cluster.local"
	}
	return o
}

func TestResilience(t *testing.T) {
	s, err := compile(read(t, `{connectionSettings: {tcp: {idleTimeout: 2h}, http: {requestTimeout: 5s, idleTimeout: 90s}}, outlierDetection: {},
		mirror: {service: copy, percent: 5}, faultInjection: {delay: {duration: 1s}, abort: {responseStatusCode: 503, percent: 0}},
		httpRoutes: [{path: /a, timeout: 0s}, {path: .*, idleTimeout: 1s, faultInjection: {delay: {duration: 1ms, percent: 7}}}]}`))
	require.NoError(t, err)
	d := func(v time.Duration) *ir.Duration { x := ir.Duration(v); return &x }
	require.Equal(t, &ir.Limits{
		RequestTimeout: ir.Duration(5 * time.Second), IdleTimeout: ir.Duration(90 * time.Second), ConnectionIdle: ir.Duration(2 * time.Hour),
		Outliers: &ir.Outliers{Consecutive: 5, Interval: ir.Duration(10 * time.Second), Ejection: ir.Duration(30 * time.Second), MaxPercent: 10},
	}, s.Limits)
	require.Equal(t, &Mirror{Service: meshid.Service{Namespace: "shop", Name: "copy"}, Percent: 5}, s.Mirror)
	require.Equal(t, &ir.Fault{Delay: ir.Duration(time.Second), DelayPercent: 100, Abort: 503}, s.Fault)
	require.Equal(t, map[string]Route{
		"/a": {Timeout: d(0)},
		"":   {Idle: d(time.Second), Fault: &ir.Fault{Delay: ir.Duration(time.Millisecond), DelayPercent: 7}},
	}, s.Routes)
	require.True(t, s.Faulty())
	s, err = compile(read(t, `{httpRoutes: [{path: /a}]}`))
	require.NoError(t, err)
	require.False(t, s.Faulty())
	require.Nil(t, s.Limits)
}

func TestResilienceMistakes(t *testing.T) {
	for spec, want := range map[string]string{
		`{connectionSettings: {http: {requestTimeout: 100us}}}`:                                     `spec.connectionSettings.http.requestTimeout: "100us" is less than the proxy counts; use 1ms or more, or 0s for no limit`,
		`{connectionSettings: {http: {idleTimeout: -1s}}}`:                                          `spec.connectionSettings.http.idleTimeout: "-1s" is negative`,
		`{connectionSettings: {tcp: {idleTimeout: 25h}}}`:                                           `spec.connectionSettings.tcp.idleTimeout: "25h" is too long; use at most 24h0m0s`,
		`{httpRoutes: [{path: /, timeout: soon}]}`:                                                  `spec.httpRoutes[0].timeout: "soon" is not a duration`,
		`{httpRoutes: [{path: /, idleTimeout: 1us}]}`:                                               `spec.httpRoutes[0].idleTimeout: "1us" is less than the proxy counts`,
		`{httpRoutes: [{path: /, faultInjection: {}}]}`:                                             `spec.httpRoutes[0].faultInjection: says no fault; set delay, abort or both`,
		`{outlierDetection: {consecutiveErrors: 0}}`:                                                `spec.outlierDetection.consecutiveErrors: 0 is out of range`,
		`{outlierDetection: {maxEjectionPercent: 0}}`:                                               `spec.outlierDetection.maxEjectionPercent: 0 is out of range; use 1 to 100`,
		`{outlierDetection: {interval: 0s}}`:                                                        `spec.outlierDetection.interval: "0s" is no time; use 1ms or more`,
		`{outlierDetection: {baseEjectionTime: 1ns}}`:                                               `spec.outlierDetection.baseEjectionTime: "1ns" is less`,
		`{mirror: {service: web}}`:                                                                  `spec.mirror.service: "web" is the service of spec.host itself; name another`,
		`{mirror: {service: other/web}}`:                                                            `spec.mirror.service: "other/web" is not the name of a Service in namespace "shop"`,
		`{mirror: {service: a.b}}`:                                                                  `spec.mirror.service: "a.b" is not the name of a Service in namespace "shop"`,
		`{mirror: {service: copy, percent: 101}}`:                                                   `spec.mirror.percent: 101 is not a percentage; use 0 to 100`,
		`{host: www.example.com, mirror: {service: copy}}`:                                          `spec.mirror: spec.host "www.example.com" is no service of the mesh; only their requests are copied`,
		`{host: www.example.com, faultInjection: {abort: {responseStatusCode: 503}}}`:               `spec.faultInjection: spec.host "www.example.com" is no service of the mesh; for hosts outside of it connectionSettings and outlierDetection count`,
		`{host: www.example.com, httpRoutes: [{path: /, timeout: 1s}]}`:                             `spec.httpRoutes[0].timeout: spec.host "www.example.com" is no service of the mesh`,
		`{host: www.example.com, httpRoutes: [{path: /, idleTimeout: 1s}]}`:                         `spec.httpRoutes[0].idleTimeout: spec.host "www.example.com" is no service of the mesh`,
		`{host: www.example.com, httpRoutes: [{path: /, faultInjection: {delay: {duration: 1s}}}]}`: `spec.httpRoutes[0].faultInjection: spec.host "www.example.com"`,
		`{faultInjection: {delay: {}}}`:                                                             `spec.faultInjection.delay.duration: "" is out of range; use 1ms to 1h0m0s`,
		`{faultInjection: {delay: {duration: 2h}}}`:                                                 `spec.faultInjection.delay.duration: "2h" is out of range; use 1ms to 1h0m0s`,
		`{faultInjection: {delay: {duration: 1s, percent: -1}}}`:                                    `spec.faultInjection.delay.percent: -1 is not a percentage`,
		`{faultInjection: {abort: {}}}`:                                                             `spec.faultInjection.abort.responseStatusCode: is missing; use 400 to 599`,
		`{faultInjection: {abort: {responseStatusCode: 200}}}`:                                      `spec.faultInjection.abort.responseStatusCode: 200 is not an error status; use 400 to 599`,
		`{faultInjection: {abort: {responseStatusCode: 503, percent: 1000}}}`:                       `spec.faultInjection.abort.percent: 1000 is not a percentage`,
		`{host: web.other.svc.cluster.local, faultInjection: {delay: {duration: 1s}}}`:              `must be in that namespace, not in "shop"`,
	} {
		require.ErrorContains(t, Validate(read(t, spec), nil, func(meshid.Service) bool { return true }), want, spec)
	}
}
