package fleet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// The sidecars do what the commands say, seen from a real delta server.
func TestFleet(t *testing.T) {
	s, err := xdsserver.Start(xds.Options{})
	require.NoError(t, err)
	defer s.Stop()
	view := xdstest.NewView()
	spec := Spec{Address: s.Address, Name: xdsserver.Name, Roots: string(s.RootPEM)}
	const n = 6
	for i := range n {
		id := meshid.Identity{Namespace: "ns", ServiceAccount: fmt.Sprint("app-", i%2)}
		pod := meshid.Pod{Namespace: "ns", Name: fmt.Sprint("p", i), UID: fmt.Sprint(i)}
		view.Add(pod, id, xdstest.Cluster("c", 1, names.SecretServiceCert(id)), xdstest.OnDemand(xdstest.Cluster("d", 1), true),
			xdstest.Listener("l", 15001, 1, []string{"r"}, nil), xdstest.Route("r", 1, "c", "d"))
		s.Tokens.Allow(fmt.Sprint("t", i), xds.Peer{Pod: pod, Identity: id})
		spec.Tokens = append(spec.Tokens, fmt.Sprint("t", i))
	}
	view.EDS["c"] = xdstest.Endpoints("c", 1, 80)
	s.Hub.SetView(view)

	toFleet, commands := io.Pipe()
	answers, fromFleet := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Run(toFleet, fromFleet) }()
	require.NoError(t, json.NewEncoder(commands).Encode(spec))
	read := bufio.NewReader(answers)
	do := func(words ...any) Answer {
		t.Helper()
		_, err := fmt.Fprintln(commands, words...)
		require.NoError(t, err)
		line, err := read.ReadBytes('\n')
		require.NoError(t, err)
		var a Answer
		require.NoError(t, json.Unmarshal(line, &a))
		return a
	}
	do("connect", 0, n)
	joined := do("complete", n, "30s")
	require.Empty(t, joined.Error)
	require.Equal(t, n, joined.Proxies)
	require.Equal(t, n, s.Hub.Len())
	for pod := range view.Pods {
		require.Contains(t, s.Hub.Held(t.Context(), pod)[envoy.Cluster], "d", "every sidecar calls everything")
	}

	do("reset")
	begin := time.Now()
	view = view.Next()
	view.EDS["c"] = xdstest.Endpoints("c", 1, 80, 81)
	s.Hub.SetView(view)
	a := do("await", "EDS", n, "30s")
	require.Empty(t, a.Error)
	require.True(t, a.At.After(begin))
	require.Equal(t, n, a.Receivers)
	require.Positive(t, a.Bytes)
	require.Contains(t, do("await", "SDS", n, "10ms").Error, "0 of 6")

	do("refuse", 0, 1)
	view = view.Next()
	for key, c := range view.Configs {
		list := []*envoy.Resource{xdstest.Route("r", 2, "c", "d")}
		for _, typ := range []envoy.TypeURL{envoy.Cluster, envoy.Listener, envoy.Secret} {
			list = append(list, c.List(typ)...)
		}
		view.Configs[key] = envoy.NewResources(list)
	}
	s.Hub.SetView(view)
	require.Empty(t, do("await", "RDS", n, "30s").Error)
	require.Eventually(t, func() bool { return len(s.Hub.Rejections()) == 1 }, 30*time.Second, time.Millisecond)
	require.Len(t, s.Hub.Rejections()[0].Pods, 1)

	do("disconnect", 0, n)
	require.Eventually(t, func() bool { return s.Hub.Len() == 0 }, 30*time.Second, time.Millisecond)
	do("reset")
	do("connect", 1, n)
	again := do("complete", n-1, "30s")
	require.Empty(t, again.Error)
	require.Less(t, do("count").Bytes, joined.Bytes, "what is held is not sent again")
	require.Zero(t, again.Broken)

	do("token", 0, 1, "nobody's")
	do("disconnect", 1, n)
	do("forget")
	do("connect", 0, 1)
	require.Contains(t, do("complete", 1, "300ms").Error, "0 of 1")
	do("disconnect", 0, 1)
	do("token", 0, 1, "t0")
	do("connect", 0, 1)
	require.Empty(t, do("complete", 1, "30s").Error)
	require.Contains(t, do("token", 0, 1).Error, "a token is expected")
	require.Contains(t, do("nonsense", 0, 1).Error, "no command")
	require.NoError(t, commands.Close())
	require.NoError(t, <-ended)
}
