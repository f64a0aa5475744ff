package figure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	bar := Bar{"ready", 15 * time.Second}
	tests := map[string]struct {
		got    time.Duration
		strict string
		words  string
		fails  bool
	}{
		"under":        {11234 * time.Millisecond, "", "ready after 11.2s (bar: 15s)", false},
		"at":           {15 * time.Second, "strict", "ready after 15s (bar: 15s)", false},
		"over":         {15100 * time.Millisecond, "", "ready after 15.1s: OVER THE BAR of 15s", false},
		"over, strict": {15100 * time.Millisecond, "strict", "ready after 15.1s: OVER THE BAR of 15s", true},
		"far over":     {61 * time.Second, "", "ready after 1m1s: OVER THE BAR of 15s", true},
		"milliseconds": {9 * time.Millisecond, "", "ready after 9ms (bar: 15s)", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(Strict, tt.strict)
			words, err := bar.Judge(tt.got)
			require.Equal(t, tt.words, words)
			require.Equal(t, tt.fails, err != nil, "%v", err)
		})
	}
}
