// Package tlsparams checks the bounds that MeshConfig sets to handshakes between sidecars. Input: the bounds as written.
// Output: bounds that every sidecar accepts, and findings. A sidecar refuses a listener or cluster with one word in its
// TLS parameters that it does not know, so a typing error would cut every connection of the mesh. It imports names and
// snapshot only.
package tlsparams

import (
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the object that holds the bounds.
const Kind = "MeshConfig"

// versions in ascending order; TLS_AUTO stands aside of the order.
var versions = []string{"TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"}

const auto = "TLS_AUTO"

// suites are the cipher suites of TLS up to 1.2 that Envoy's library knows
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/transport_sockets/tls/v3/common.proto); true marks those
// that a workload certificate of the mesh, an ECDSA key, can be used with. TLS 1.3 has suites of its own, which cannot be
// chosen.
var suites = map[string]bool{
	"ECDHE-ECDSA-AES128-GCM-SHA256": true, "ECDHE-ECDSA-AES256-GCM-SHA384": true, "ECDHE-ECDSA-CHACHA20-POLY1305": true,
	"ECDHE-ECDSA-AES128-SHA": true, "ECDHE-ECDSA-AES256-SHA": true,
	"ECDHE-RSA-AES128-GCM-SHA256": false, "ECDHE-RSA-AES256-GCM-SHA384": false, "ECDHE-RSA-CHACHA20-POLY1305": false,
	"ECDHE-RSA-AES128-SHA": false, "ECDHE-RSA-AES256-SHA": false,
	"AES128-GCM-SHA256": false, "AES256-GCM-SHA384": false, "AES128-SHA": false, "AES256-SHA": false,
}

var curves = []string{"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"}

// Suites lists the known cipher suites, sorted.
func Suites() []string {
	out := make([]string, 0, len(suites))
	for s := range suites {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// Curves lists the known curves.
func Curves() []string { return slices.Clone(curves) }

// Compile returns what of the bounds can be in force.
func Compile(in snapshot.TLSParams, namespace string) (snapshot.TLSParams, []snapshot.Finding) {
	c := compiler{namespace: namespace}
	out := snapshot.TLSParams{
		MinVersion: c.version("tlsMinProtocolVersion", in.MinVersion),
		MaxVersion: c.version("tlsMaxProtocolVersion", in.MaxVersion),
		Curves:     c.known("ecdhCurves", in.Curves, func(s string) bool { return slices.Contains(curves, s) }, curves),
	}
	low, high := slices.Index(versions, out.MinVersion), slices.Index(versions, out.MaxVersion)
	if low >= 0 && high >= 0 && high < low {
		c.report("spec.sidecar.tlsMaxProtocolVersion: %s is below the minimum %s, so no handshake could succeed; %s is used for both",
			out.MaxVersion, out.MinVersion, out.MinVersion)
		out.MaxVersion, high = out.MinVersion, low
	}
	out.CipherSuites = c.known("cipherSuites", in.CipherSuites, knownSuites, Suites())
	if len(out.CipherSuites) > 0 && high >= 0 && high < slices.Index(versions, "TLSv1_3") && !slices.ContainsFunc(out.CipherSuites, usable) {
		c.report("spec.sidecar.cipherSuites: none of %s works with the mesh's ECDSA certificates below TLS 1.3; the list is ignored. Add an ECDHE-ECDSA suite",
			strings.Join(out.CipherSuites, ", "))
		out.CipherSuites = nil
	}
	return out, c.findings
}

type compiler struct {
	namespace string
	findings  []snapshot.Finding
}

func (c *compiler) report(format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.namespace, Name: names.MeshConfig},
		Severity: snapshot.Error, Reason: "InvalidTLSParameter", Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) version(field, v string) string {
	if v == "" || v == auto || slices.Contains(versions, v) {
		return v
	}
	c.report("spec.sidecar.%s: %q is no version; use one of %s, %s. It is ignored", field, v, auto, strings.Join(versions, ", "))
	return ""
}

func (c *compiler) known(field string, list []string, ok func(string) bool, all []string) []string {
	var out []string
	for i, s := range list {
		if ok(s) {
			out = append(out, s)
			continue
		}
		c.report("spec.sidecar.%s[%d]: %q is not known to sidecars; use some of %s. It is left out", field, i, s, strings.Join(all, ", "))
	}
	return out
}

// members splits "[A|B]", suites of equal preference.
func members(s string) []string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			return strings.Split(inner, "|")
		}
	}
	return []string{s}
}

func knownSuites(s string) bool {
	return !slices.ContainsFunc(members(s), func(m string) bool { _, ok := suites[m]; return !ok })
}

func usable(s string) bool {
	return slices.ContainsFunc(members(s), func(m string) bool { return suites[m] })
}
