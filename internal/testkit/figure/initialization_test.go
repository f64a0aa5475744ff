package figure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInitialization(t *testing.T) {
	took, err := Initialization("server.initialization_time_ms: P0(nan,58) P25(nan,58.25) P99(nan,58.99) P100(nan,59)\n")
	require.NoError(t, err)
	require.Equal(t, 59*time.Millisecond, took)
	for _, early := range []string{"", "server.initialization_time_ms: No recorded values\n", "other: P100(nan,1)"} {
		_, err := Initialization(early)
		require.ErrorContains(t, err, "no initialization time")
	}
}
