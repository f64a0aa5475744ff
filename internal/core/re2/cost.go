package re2

import (
	"regexp/syntax"
	"unicode/utf8"
)

const (
	// MaxCost bounds what an expression compiles to, in instructions of Envoy's engine. Repetitions multiply: a short text
	// such as `.{1000}` is a large program, which every request would pay for, and one that is too large is refused by
	// Envoy together with everything that was sent with it.
	MaxCost = 16384
	// costOfWide is how many instructions one range of characters beyond ASCII may take: Envoy's engine works on bytes.
	costOfWide = 12
)

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
