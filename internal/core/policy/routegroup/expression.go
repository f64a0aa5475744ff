package routegroup

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

const (
	// MaxRegexLength bounds the text of an expression, in bytes.
	MaxRegexLength = 1024
	// MaxRegexCost bounds what an expression compiles to, in instructions of Envoy's engine. Repetitions multiply: a
	// short text such as `.{1000}` is a large program, which every request would pay for, and one that is too large is
	// refused by Envoy together with everything that was sent with it.
	MaxRegexCost = 16384
	// costOfWide is how many instructions one range of characters beyond ASCII may take: Envoy's engine works on bytes.
	costOfWide = 12
)

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
	if _, err := regexp.Compile(s); err != nil {
		return "", fmt.Errorf("%s: %q is not an RE2 expression: %w", field, s, err)
	}
	if c, err := cost(s); err != nil || c > MaxRegexCost {
		return "", fmt.Errorf("%s: %q is too complex (%d steps, at most %d); use fewer or smaller repetitions", field, s, c, MaxRegexCost)
	}
	return s, nil
}

// cost estimates from above how many instructions Envoy's engine compiles an expression to.
func cost(s string) (int, error) {
	re, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return 0, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	total := 0
	for _, inst := range prog.Inst {
		total += costOf(inst)
	}
	return total, nil
}

func costOf(inst syntax.Inst) int {
	switch inst.Op {
	case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return costOfWide
	case syntax.InstRune, syntax.InstRune1:
		n := 0
		for i, r := range inst.Rune {
			// Runes come in pairs, low and high; a single one stands for itself.
			if len(inst.Rune) > 1 && i%2 == 0 {
				continue
			}
			n++
			if r >= utf8.RuneSelf {
				n += costOfWide
			}
		}
		return max(n, 1)
	}
	return 1
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
