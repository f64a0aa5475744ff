package routegroup

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"openservicemesh.io/osm/internal/core/re2"
)

// MaxRegexLength bounds the text of an expression, in bytes.
const MaxRegexLength = 1024

// expression checks an RE2 expression. What matches everything is normalised to "".
func expression(field, s string) (string, error) {
	if len(s) > MaxRegexLength {
		return "", fmt.Errorf("%s: %d characters are too many; use at most %d", field, len(s), MaxRegexLength)
	}
	if s == ".*" {
		return "", nil
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("%s: %q holds bytes that no request can", field, s)
	}
	if err := re2.Check(s); err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return s, nil
}

// pseudoHeaders are the parts of a request line that Envoy shows as headers.
var pseudoHeaders = map[string]bool{":authority": true, ":method": true, ":path": true, ":scheme": true}

// validHeaderName reports whether a request can bear a header of the name (RFC 9110, 5.6.2: a token), in lower case.
func validHeaderName(s string) bool {
	if pseudoHeaders[s] {
		return true
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && strings.IndexByte("0123456789!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
