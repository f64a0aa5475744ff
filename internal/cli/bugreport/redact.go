package bugreport

import (
	"regexp"
)

// Redacted stands in place of what is nobody's business.
const Redacted = "[redacted]"

// secretName fits the names of environment variables and settings whose values are secret.
var secretName = regexp.MustCompile(`(?i)passw|secret|token|credential|private|api_?key|access_?key|_key$|^key$|auth|cookie|dsn|connection_?string`)

// rules find what is secret in any text: logs, dumps, manifests. What a rule's group 1 holds stays.
var rules = []*regexp.Regexp{
	// Private keys in PEM, whole or cut off, with line ends as they are or escaped.
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`),
	// The same in base64, as Secrets and encoded configuration hold it.
	regexp.MustCompile(`()LS0tLS1CRUdJTi[A-Za-z0-9+/]{2,40}?(?:FBSSVZBVEUgS0VZ|UFJJVkFURSBLRV|BQUklWQVRFIEtFW)[A-Za-z0-9+/=]*`),
	// JSON web tokens: service-account tokens above all.
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*`),
	// Headers that authenticate.
	regexp.MustCompile(`(?i)("?\b(?:proxy-)?authorization\b"?\s*[:=]\s*"?)(?:(?:bearer|basic|digest|negotiate)\s+)?[^\s",}]+`),
	regexp.MustCompile(`(?i)("?\b(?:set-)?cookie\b"?\s*[:=]\s*"?)[^"\r\n]+`),
	regexp.MustCompile(`(?i)("?\b(?:x-api-key|x-auth-token|x-vault-token)\b"?\s*[:=]\s*"?)[^\s",}]+`),
	regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	// Settings.
	regexp.MustCompile(`(?i)("?\b[\w.-]*(?:password|passwd|secret_?key|access_?key|client_?secret|api_?key|vault_?token)"?\s*[:=]\s*"?)[^\s",}&]+`),
	regexp.MustCompile(`(?i)([?&](?:access_token|token|key|signature|sig)=)[^\s&"]+`),
	// Users in URLs.
	regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s:@"]+:[^/\s@"]+@`),
}

// Text removes what is secret from a text.
func Text(text []byte) []byte {
	for _, r := range rules {
		text = r.ReplaceAll(text, []byte("${1}"+Redacted))
	}
	return text
}

// lastApplied is where kubectl keeps a copy of a whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// object removes from a Kubernetes object what is secret, and what is of no use.
func object(o map[string]any) {
	if meta, ok := o["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
		if a, ok := meta["annotations"].(map[string]any); ok {
			delete(a, lastApplied)
		}
	}
	values(o)
}

// values walks an object and removes the values of environment variables and of headers with a telling name.
func values(v any) {
	switch v := v.(type) {
	case map[string]any:
		name, named := v["name"].(string)
		if _, has := v["value"].(string); named && has && secretName.MatchString(name) {
			v["value"] = Redacted
		}
		for _, sub := range v {
			values(sub)
		}
	case []any:
		for _, sub := range v {
			values(sub)
		}
	}
}
