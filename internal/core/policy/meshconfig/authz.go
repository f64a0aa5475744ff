package meshconfig

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// defaultAuthorizationTimeout is how long the authorizer's answer may take when MeshConfig does not say.
const defaultAuthorizationTimeout = time.Second

// ExternalAuthorization reads the authorizer that MeshConfig names; nil when external authorization is off. A setting that
// makes no sense does not switch it off: then no authorizer is there to answer, and failureModeAllow decides.
func ExternalAuthorization(c *config.MeshConfig) *snapshot.ExternalAuthorization {
	in := c.Spec.Traffic.InboundExternalAuthorization
	if !in.Enable {
		return nil
	}
	out := &snapshot.ExternalAuthorization{
		StatPrefix: in.StatPrefix, Timeout: defaultAuthorizationTimeout, FailOpen: in.FailureModeAllow,
	}
	if out.StatPrefix == "" {
		out.StatPrefix = names.StatPrefixExtAuthz
	}
	if d, err := time.ParseDuration(in.Timeout); err == nil && validTimeout(d) {
		out.Timeout = d
	}
	if addressError(in.Address) == "" && in.Port >= 1 && in.Port <= 65535 {
		out.Address, out.Port = in.Address, uint16(in.Port)
	}
	return out
}

// authorizationFindings lists what of the setting makes no sense.
func authorizationFindings(c *config.MeshConfig) []snapshot.Finding {
	in := c.Spec.Traffic.InboundExternalAuthorization
	if !in.Enable {
		return nil
	}
	const field = "spec.traffic.inboundExternalAuthorization"
	effect := "until then every inbound HTTP request is answered 403"
	if in.FailureModeAllow {
		effect = "until then every inbound HTTP request passes, since failureModeAllow is true"
	}
	var out []snapshot.Finding
	report := func(format string, args ...any) {
		out = append(out, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.Namespace, Name: c.Name},
			Severity: snapshot.Error, Reason: "InvalidExternalAuthorization", Message: fmt.Sprintf(format, args...)})
	}
	if why := addressError(in.Address); why != "" {
		report("%s.address: %q %s; %s", field, in.Address, why, effect)
	}
	if in.Port < 1 || in.Port > 65535 {
		report("%s.port: %d is not a port; use 1 to 65535; %s", field, in.Port, effect)
	}
	if d, err := time.ParseDuration(in.Timeout); in.Timeout != "" && (err != nil || !validTimeout(d)) {
		report("%s.timeout: %q is not a duration above 0 and up to an hour, such as 500ms; %s is used", field, in.Timeout, defaultAuthorizationTimeout)
	}
	return out
}

// validTimeout bounds a wait: nobody waits an hour for an answer, and what cannot be held makes the proxy refuse everything.
func validTimeout(d time.Duration) bool { return d > 0 && d <= time.Hour }

// addressError says what is wrong with a host name or IP address; empty when nothing is.
func addressError(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if len(validation.IsDNS1123Subdomain(strings.ToLower(host))) > 0 {
		return "is neither a host name nor an IP address"
	}
	return ""
}
