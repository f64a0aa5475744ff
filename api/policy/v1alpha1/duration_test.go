package v1alpha1

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurationParse(t *testing.T) {
	for _, test := range []struct {
		in   Duration
		want time.Duration
		err  string
	}{
		{"", 0, ""},
		{"0", 0, ""},
		{"1m1.5s", 61500 * time.Millisecond, ""},
		{"300ms", 300 * time.Millisecond, ""},
		{"5", 0, `"5" is not a duration; write a number with a unit, such as 5s or 300ms`},
		{"99999999999999h", 0, `"99999999999999h" is not a duration; write a number with a unit, such as 5s or 300ms`},
		{"-1s", 0, `"-1s" is negative; write a duration of 0s or more`},
	} {
		t.Run(string(test.in), func(t *testing.T) {
			got, err := test.in.Parse()
			require.Equal(t, test.want, got)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.err)
			}
		})
	}
}
