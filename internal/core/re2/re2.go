package re2

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Check reports why a text is not an expression that both Go and Envoy's engine read, at a bearable cost.
func Check(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q is not an RE2 expression: %w", s, err)
	}
	for _, e := range escapes(s) {
		switch e.kind {
		case 'p', 'P':
			if !known(e.value) {
				return fmt.Errorf("%q names the class of characters %q, which the proxy does not know; use the short name of a category, "+
					"such as L for letters or Lu for upper case, or that of a script, such as Greek", s, e.value)
			}
		case 'x', 'o':
			base := map[byte]int{'x': 16, 'o': 8}[e.kind]
			if n, err := strconv.ParseUint(e.value, base, 32); err != nil || n > maxByte {
				return fmt.Errorf("%q escapes a character above %#x, and the proxy compares bytes; write the character itself, or its bytes, such as \\xC3\\xA9", s, maxByte)
			}
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

// maxByte is the largest character that Envoy's engine can be told by number.
const maxByte = 0xFF

// escape is a sequence that names characters: by class ('p', 'P') or by number ('x' hexadecimal, 'o' octal).
type escape struct {
	kind  byte
	value string
}

// escapes lists such sequences in an expression that Go can read.
func escapes(s string) []escape {
	var out []escape
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
			out = append(out, escape{kind, name})
		case 'x': // two digits are a byte; any number stands in braces
			if inside, ok := strings.CutPrefix(rest, "{"); ok {
				digits, _, _ := strings.Cut(inside, "}")
				out = append(out, escape{kind, digits})
			}
		case '1', '2', '3', '4', '5', '6', '7':
			digits := s[at+1:]
			n := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '7' })
			if n < 0 {
				n = len(digits)
			}
			out = append(out, escape{'o', digits[:min(n, 3)]})
		}
		s = rest
	}
}
