package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/obs"
)

func TestStart(t *testing.T) {
	wrong := errors.New("wrong")
	fine := func() error { return nil }
	ran := false
	run := func(_ context.Context, logging *obs.Logging, metrics *obs.Metrics) error {
		ran = logging != nil && metrics != nil
		return nil
	}
	require.NoError(t, Program{Name: "p", Verbosity: "info", Check: fine, Run: run}.Start())
	require.True(t, ran)

	ran = false
	require.ErrorIs(t, Program{Name: "p", Verbosity: "info", Check: func() error { return wrong }, Run: run}.Start(), wrong)
	require.Error(t, Program{Name: "p", Verbosity: "loud", Check: fine, Run: run}.Start())
	require.False(t, ran, "nothing runs after a wrong command line")

	fails := func(context.Context, *obs.Logging, *obs.Metrics) error { return wrong }
	require.ErrorIs(t, Program{Name: "p", Verbosity: "info", Check: fine, Run: fails}.Start(), wrong)
}

func TestPause(t *testing.T) {
	wake := make(chan struct{}, 1)
	require.True(t, Pause(t.Context(), time.Millisecond, wake))
	wake <- struct{}{}
	require.True(t, Pause(t.Context(), time.Hour, wake))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, Pause(ended, time.Hour, nil))
}
