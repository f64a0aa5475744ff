package errcode

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	all := All()
	require.Len(t, all, 100)
	form := regexp.MustCompile(`^E[1-7][0-9]{3}$`)
	seen := map[string]Code{}
	for _, c := range all {
		require.Regexp(t, form, string(c))
		d, ok := Describe(c)
		require.True(t, ok)
		require.Regexp(t, `^[A-Z].*\.$`, d, c)
		require.Empty(t, seen[d], "%s and %s have one description", c, seen[d])
		seen[d] = c
	}
	_, ok := Describe("E9999")
	require.False(t, ok)
}

func TestErrorKeepsCodeAndCause(t *testing.T) {
	err := fmt.Errorf("start: %w", Errorf(InvalidCA, "Secret a/b: %w", io.ErrUnexpectedEOF))
	require.Equal(t, InvalidCA, Of(err))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "start: Secret a/b: unexpected EOF", err.Error())
	require.Equal(t, InvalidCLIArgument, Of(errors.Join(io.EOF, Errorf(InvalidCLIArgument, "x"))))
	require.Empty(t, Of(io.EOF))
	require.Empty(t, Of(nil))
}
