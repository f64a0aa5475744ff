package bootstrap_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/bootstrap"
)

// What is kept must never show: every text is the one that is made anew, in whatever order pods come.
func TestMemoryGivesWhatIsMadeAnew(t *testing.T) {
	odd := config("root", allProbes...)
	odd.NodeID, odd.NodeCluster = `a"b\c<d>&`, "\u2028é\x01"
	dual := config("root", allProbes...)
	dual.DualStack = true
	curves := config("root", allProbes[:2]...)
	curves.TLS.ECDHCurves = []string{"P-256"}
	ciphers := config("root", allProbes[:2]...)
	ciphers.TLS.CipherSuites = []string{"P-256"}
	slow := config("root", allProbes...)
	slow.Probes = append(slow.Probes[:0:0], slow.Probes...)
	slow.Probes[0].Timeout++
	named := config("root", allProbes...)
	named.Probes = append(named.Probes[:0:0], named.Probes...)
	named.Probes[0].Path = "{node id}"
	configs := []bootstrap.Config{config("root"), config("another root"), config("root", allProbes[:1]...), config("root", allProbes...), odd, dual, curves, ciphers, slow, named}
	var m bootstrap.Memory
	for round := range 3 {
		for i, c := range configs {
			if round > 0 {
				c.NodeID = fmt.Sprint("pod ", round, i)
			}
			got, err := m.Text(c)
			require.NoError(t, err)
			require.Equal(t, render(t, c), got)
		}
	}
}

func TestMemoryIsBoundedAndShared(t *testing.T) {
	var m bootstrap.Memory
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 150 {
				c := config(fmt.Sprint("root ", i))
				c.NodeCluster = fmt.Sprint(g, ".bookstore")
				got, err := m.Text(c)
				if err != nil || !strings.Contains(got, fmt.Sprintf("%q", c.NodeCluster)) || !strings.Contains(got, fmt.Sprintf("%q", c.RootPEM)) {
					t.Errorf("%d: %v\n%s", i, err, got)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, m.Kept(), 128)
}

func TestMemoryRefusesWhatBuildRefuses(t *testing.T) {
	for _, spoil := range []func(*bootstrap.Config){
		func(c *bootstrap.Config) { c.NodeID = "" },
		func(c *bootstrap.Config) { c.NodeCluster = "" },
		func(c *bootstrap.Config) { c.RootPEM = "" },
		func(c *bootstrap.Config) { c.NodeID = "\xff" },
	} {
		c := config("root")
		var m bootstrap.Memory
		_, err := m.Text(c)
		require.NoError(t, err)
		spoil(&c)
		_, err = m.Text(c)
		require.ErrorContains(t, err, "sidecar bootstrap: ")
	}
}
