package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
)

// The floor must be what it claims to be before anything is compared with it: two configurations that Envoy takes.
func TestFloorIsAValidConfiguration(t *testing.T) {
	envoy := envoycheck.Binary(t)
	cert, key, err := keyPair()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte(cert), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte(key), 0o600))
	for _, client := range []bool{true, false} {
		config := strings.ReplaceAll(floorConfig(client, "10.0.0.1"), "/etc/envoy/", dir+"/")
		bootstrap := &bootstrapv3.Bootstrap{}
		require.NoError(t, protojson.Unmarshal([]byte(config), bootstrap))
		require.Len(t, bootstrap.GetStaticResources().GetClusters(), 4)
		require.NoError(t, envoycheck.Validate(t.Context(), envoy, dir, bootstrap))
	}
}

func TestRowsCompareWhatIsAdded(t *testing.T) {
	s := scenario{name: "x", rate: 500}
	b := &bench{table: &report.Table{}, samples: map[string]map[string][]sample{"x": {
		none: {{p50: 1, p99: 2, cpu: 100}, {p50: 1, p99: 2, cpu: 100}}, floor: {{p50: 3, p99: 6, cpu: 300}, {p50: 3, p99: 6, cpu: 300}},
		mesh: {{p50: 4, p99: 6, cpu: 310}, {p50: 4, p99: 6, cpu: 310}},
	}}}
	b.rows(s)
	require.Len(t, b.table.Rows, 3)
	require.InDelta(t, 1.5, b.table.Rows[0].Figure, 1e-9)
	require.Equal(t, "MISSED", b.table.Rows[0].Verdict())
	require.InDelta(t, 1.0, b.table.Rows[1].Figure, 1e-9)
	require.InDelta(t, 1.05, b.table.Rows[2].Figure, 1e-9)
	require.Equal(t, "must", b.table.Rows[2].Verdict())
}

// Two heaps: the figure lies between them by how many are in each, and what is far off does not count.
func TestMiddleOfTwoHeaps(t *testing.T) {
	require.InDelta(t, 1.5, middle([]float64{2, 1, 2, 900, 1, 1, 1, 0, 2, 900}), 1e-9)
	require.InDelta(t, 7.0, middle([]float64{7}), 1e-9)
}

func TestValueOfAControlGroupFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.stat")
	require.NoError(t, os.WriteFile(file, []byte("cache 1\nrss_huge 3\nrss 42\n"), 0o644))
	n, err := value(file, "rss")
	require.NoError(t, err)
	require.Equal(t, int64(42), n)
	_, err = value(file, "anon")
	require.ErrorContains(t, err, `no line "anon"`)
}
