package re2

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Check reports why a text is not an expression that both Go and Envoy's engine read, at a bearable cost.
func Check(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q is not an RE2 expression: %w", s, err)
	}
	for _, name := range classes(s) {
		if !known(name) {
			return fmt.Errorf("%q names the class of characters %q, which the proxy does not know; use the short name of a category, "+
				"such as L for letters or Lu for upper case, or that of a script, such as Greek", s, name)
		}
	}
	if c, err := cost(s); err != nil || c > MaxCost {
		return fmt.Errorf("%q is too complex (%d steps, at most %d); use fewer or smaller repetitions", s, c, MaxCost)
	}
	return nil
}

// known reports whether Envoy's engine knows a class of characters by a name. Go knows more: long names, names in any
// case, and categories of what is not assigned.
func known(name string) bool {
	_, category := unicode.Categories[name]
	_, script := unicode.Scripts[name]
	return category && name != "Cn" && name != "LC" || script || name == "Any"
}

// classes lists the names of \p{name} and \pN in an expression that Go can read.
func classes(s string) []string {
	var out []string
	for {
		at := strings.IndexByte(s, '\\')
		if at < 0 || at+1 >= len(s) {
			return out
		}
		kind, rest := s[at+1], s[at+2:]
		switch kind {
		case 'Q': // all up to \E stands for itself
			_, rest, _ = strings.Cut(rest, `\E`)
		case 'p', 'P':
			name := rest[:min(1, len(rest))]
			if inside, ok := strings.CutPrefix(rest, "{"); ok {
				name, _, _ = strings.Cut(inside, "}")
				name = strings.TrimPrefix(name, "^")
			}
			out = append(out, name)
		}
		s = rest
	}
}
