// Package retry compiles Retry objects (policy.openservicemesh.io/v1alpha1). Input: the objects and whether they are
// switched on. Output: which service accounts retry requests to which services, and findings. It imports the api types,
// meshid, snapshot and ir; no other policy kind.
package retry

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package compiles.
const Kind = "Retry"

const (
	kindServiceAccount = "ServiceAccount"
	// maxDuration bounds what is written to the proxy: it refuses whole configurations over a duration it cannot hold.
	maxDuration = 24 * time.Hour
)

// Key is a caller and whom it calls.
type Key struct {
	Source      meshid.Identity
	Destination meshid.Service
}

// Policies are the retries of requests.
type Policies map[Key]*ir.Retry

// conditions are the words of retryOn that Envoy knows
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on). It passes
// over any other in silence.
var conditions = []string{
	"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
	"refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
}

// Options say what the mesh has decided for all objects.
type Options struct {
	// Off has no object take effect.
	Off bool
	// MeshNamespace is the control plane's: its objects may speak of everybody's calls, others only of those that their
	// own namespace makes or takes.
	MeshNamespace string
}

// Compile compiles every object, in order: of several for one caller and service the first counts.
func Compile(objects []*policyv1.Retry, opts Options) (Policies, []snapshot.Finding) {
	out := Policies{}
	first := map[Key]string{}
	var findings []snapshot.Finding
	for _, o := range objects {
		c := compiler{object: o, meshNamespace: opts.MeshNamespace}
		if opts.Off {
			c.report(snapshot.Error, "Disabled", "spec.featureFlags.%s of the MeshConfig is false, so the object has no effect; set it to true", names.FlagRetryPolicy)
		} else if policy, ok := c.policy(); ok {
			for _, k := range c.keys() {
				if other, taken := first[k]; taken {
					c.report(snapshot.Warning, "Conflict", "spec.destinations: Retry %s comes first for calls of %s to %s and counts there", other, k.Source, k.Destination)
					continue
				}
				first[k], out[k] = o.Namespace+"/"+o.Name, policy
			}
		}
		findings = append(findings, c.findings...)
	}
	return out, findings
}

type compiler struct {
	object        *policyv1.Retry
	meshNamespace string
	findings      []snapshot.Finding
}

func (c *compiler) report(s snapshot.Severity, reason, format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.object.Namespace, Name: c.object.Name},
		Severity: s, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// keys lists the calls the object is for, without repetition.
func (c *compiler) keys() []Key {
	src := c.object.Spec.Source
	if src.Kind != kindServiceAccount || src.Name == "" || src.Namespace == "" {
		c.report(snapshot.Error, "InvalidSource", "spec.source: kind %q, name %q, namespace %q; name a ServiceAccount and its namespace", src.Kind, src.Name, src.Namespace)
		return nil
	}
	var out []Key
	for i, d := range c.object.Spec.Destinations {
		if d.Kind != policyv1.KindService || d.Name == "" || d.Namespace == "" {
			c.report(snapshot.Error, "InvalidDestination",
				"spec.destinations[%d]: kind %q, name %q, namespace %q; name a Service and its namespace. The destination is ignored", i, d.Kind, d.Name, d.Namespace)
			continue
		}
		k := Key{
			Source:      meshid.Identity{Namespace: src.Namespace, ServiceAccount: src.Name},
			Destination: meshid.Service{Namespace: d.Namespace, Name: d.Name},
		}
		if !c.concerns(k) {
			c.report(snapshot.Error, "ForeignCall",
				"spec.destinations[%d]: a Retry in namespace %s cannot decide about calls of namespace %s to namespace %s; create it in one of these, or in the control plane's. The destination is ignored",
				i, c.object.Namespace, src.Namespace, d.Namespace)
			continue
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		c.report(snapshot.Error, "NoDestinations", "spec.destinations names no Service, so nothing is retried")
	}
	return out
}

// concerns reports whether the object is where the caller is, or who is called: anybody else could have one namespace load
// another with requests sent over and over.
func (c *compiler) concerns(k Key) bool {
	return slices.Contains([]string{k.Source.Namespace, k.Destination.Namespace, c.meshNamespace}, c.object.Namespace)
}

func (c *compiler) policy() (*ir.Retry, bool) {
	p := c.object.Spec.RetryPolicy
	on := c.conditions(p.RetryOn)
	perTry := c.duration("perTryTimeout", p.PerTryTimeout)
	backoff := c.duration("retryBackoffBaseInterval", p.RetryBackoffBaseInterval)
	if p.NumRetries < 0 || p.NumRetries > math.MaxUint32 {
		c.report(snapshot.Error, "InvalidRetryPolicy", "spec.retryPolicy.numRetries: %d is out of range; use 0 to %d", p.NumRetries, uint32(math.MaxUint32))
	}
	if len(on) == 0 {
		c.report(snapshot.Error, "InvalidRetryPolicy", "spec.retryPolicy.retryOn: %q names no known condition; use a list of %s", p.RetryOn, strings.Join(conditions, ", "))
	}
	if slices.ContainsFunc(c.findings, func(f snapshot.Finding) bool { return f.Severity == snapshot.Error }) {
		return nil, false
	}
	return &ir.Retry{On: strings.Join(on, ","), Count: uint32(p.NumRetries), PerTry: perTry, Backoff: backoff}, true
}

func (c *compiler) duration(field string, d policyv1.Duration) ir.Duration {
	v, err := d.Parse()
	if err == nil && v > maxDuration {
		err = fmt.Errorf("%q is too long; use at most %s", string(d), maxDuration)
	}
	if err != nil {
		c.report(snapshot.Error, "InvalidRetryPolicy", "spec.retryPolicy.%s: %v", field, err)
	}
	return ir.Duration(v)
}

// conditions splits retryOn and reports the words that nobody knows.
func (c *compiler) conditions(text string) []string {
	var out []string
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		if slices.Contains(conditions, word) {
			out = append(out, word)
		} else if word != "" {
			c.report(snapshot.Warning, "UnknownCondition", "spec.retryPolicy.retryOn: %q is no condition the proxy knows and has no effect", word)
		}
	}
	return out
}
