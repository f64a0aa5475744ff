package pki

import (
	"fmt"
	"strings"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Names a certificate of the mesh carries.
const (
	// RootCommonName is the common name of a root that the mesh makes itself.
	RootCommonName = "osm-ca.openservicemesh.io"
	// Organization is the subject's organization in every certificate.
	Organization = "Open Service Mesh"
	rootCountry  = "US"
	rootLocality = "CA"
)

const (
	maxLabel = 63  // RFC 1035 §2.3.4
	maxName  = 253 // RFC 1035 §2.3.4, in its written form
	// maxCommonName is X.509's ub-common-name (RFC 5280, appendix A.1). Some verifiers refuse longer ones.
	maxCommonName = 64
)

// ADSName is the host name proxies expect of the control plane's certificate: "ads.<trust domain>". No workload can
// hold it: a workload's principal has a service account and a namespace in front of the trust domain.
func ADSName(td meshid.TrustDomain) string { return "ads." + string(td) }

// WebhookName is the host name the API server expects of a webhook: "<service>.<namespace>.svc".
func WebhookName(service, namespace string) string { return service + "." + namespace + ".svc" }

// CheckDNSName reports why name must not go into a certificate, or nil. Only the lower-case host names that Kubernetes
// itself allows pass (RFC 1123 labels joined by dots), so a NUL byte, a wildcard, a comma or a line break can never
// reach a subject or a SAN, where verifiers disagree on what they mean.
func CheckDNSName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("certificate name %q has %d characters, want 1 to %d", shown(name), len(name), maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return fmt.Errorf("certificate name %q: %q is not a host name label: want 1 to %d of a-z, 0-9 and '-', "+
				"with no '-' at either end", shown(name), shown(label), maxLabel)
		}
	}
	return nil
}

// Principal returns the checked principal of a workload, "<serviceaccount>.<namespace>.<trust domain>". The namespace
// must be a single label: with dots in it two identities could share one principal.
func Principal(id meshid.Identity, td meshid.TrustDomain) (string, error) {
	if !isLabel(id.Namespace) {
		return "", fmt.Errorf("identity of service account %q: namespace %q is not a single host name label",
			shown(id.ServiceAccount), shown(id.Namespace))
	}
	for _, part := range []string{id.ServiceAccount, string(td)} {
		if err := CheckDNSName(part); err != nil {
			return "", fmt.Errorf("identity of service account %q in namespace %q: %w",
				shown(id.ServiceAccount), id.Namespace, err)
		}
	}
	p := id.Principal(td)
	return p, CheckDNSName(p)
}

// commonName is the subject's common name for a certificate whose first SAN is name. A name beyond X.509's bound is
// left out rather than cut: a cut name could be another workload's, and every verifier of the mesh reads the SAN.
func commonName(name string) string {
	if len(name) > maxCommonName {
		return ""
	}
	return name
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// shown keeps a hostile name from filling the log.
func shown(s string) string {
	if len(s) > maxName+1 {
		return s[:maxName+1] + "…"
	}
	return s
}
