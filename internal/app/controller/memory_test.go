package controller

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBurstIsOver(t *testing.T) {
	const mb = 1 << 20
	var b burst
	var allocated uint64
	after := func(n uint64) bool { allocated += n; return b.over(allocated) }
	for range 10 {
		require.False(t, after(10*mb), "it is going on")
	}
	require.False(t, after(0))
	require.False(t, after(mb/2))
	require.True(t, after(0), "the third look at which little happened")
	for range 100 {
		require.False(t, after(mb/2), "what is allocated now and then is no burst")
	}
	require.False(t, after(20*mb))
	for range quietLooks - 1 {
		require.False(t, after(0))
	}
	require.True(t, after(mb/2), "small changes add up")
	require.False(t, after(0))
}
