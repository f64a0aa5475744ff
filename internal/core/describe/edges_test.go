package describe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEdges(t *testing.T) {
	readers := []string{"shop/readers"}
	edge := func(service, backend, protocol string, port uint16) Edge {
		return Edge{Source: "buyer.buyer", Service: service, Backend: backend, Protocol: protocol, Port: port, Servers: []string{"shop.shop"}, Policies: readers}
	}
	require.Equal(t, []Edge{
		edge("shop/shop", "shop/shop", "http", 80), edge("shop/shop", "shop/shop-v2", "http", 80),
		edge("shop/shop", "shop/shop", "tcp", 5432), edge("shop/shop-v2", "shop/shop-v2", "http", 80),
	}, Edges(planner(t, "false", "false")))
}

func TestEdgesInPermissiveMode(t *testing.T) {
	list := Edges(planner(t, "true", "true"))
	sources := map[string]bool{}
	for _, e := range list {
		require.True(t, e.Permissive, "%+v", e)
		require.Empty(t, e.Policies)
		require.NotEqual(t, "", e.Backend)
		sources[e.Source] = true
	}
	require.Equal(t, map[string]bool{"buyer.buyer": true, "shop.shop": true}, sources)
}
