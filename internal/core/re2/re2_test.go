package re2

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	for _, s := range []string{``, `.*`, `/a/[^/]+`, `\p{L}`, `\pL+`, `\P{Lu}`, `\p{^Greek}`, `[\p{Han}\d]`, `\p{Any}`, `\\p{Letter}`, `\Q\p{Letter}\E`, `\Q\p{Letter}`, `a\.b`, `(?<n>a)`} {
		require.NoError(t, Check(s), s)
	}
	for s, name := range map[string]string{
		`/\p{Letter}+`: "Letter", `\P{^Letter}`: "Letter", `\p{lu}`: "lu", `\p{Cn}`: "Cn", `\p{LC}`: "LC", `\p{ASCII}`: "ASCII", `[a\p{Assigned}]`: "Assigned",
		`\p{greek}`: "greek", `\\\p{Letter}`: "Letter", `\Qa\E\p{Letter}`: "Letter", `\p{L}\p{Letter}`: "Letter",
	} {
		require.ErrorContains(t, Check(s), `names the class of characters "`+name+`"`, s)
	}
	for _, s := range []string{`\x{FF}`, `\xFF`, `\x{00ff}`, `\377`, `\07`, `é`, `[a-é]`, `\\x{100}`, `\\777`} {
		require.NoError(t, Check(s), s)
	}
	for _, s := range []string{`\x{100}`, `[\x{0}-\x{10FFFF}]`, `\400`, `a\777`, `/\x{1F600}`} {
		require.ErrorContains(t, Check(s), "escapes a character above 0xff", s)
	}
	require.ErrorContains(t, Check(`(\pL\pN){500}`), "is too complex")
	require.ErrorContains(t, Check(`(`), "is not an RE2 expression")
	require.ErrorContains(t, Check(`\p{Nobody}`), "is not an RE2 expression")
}
