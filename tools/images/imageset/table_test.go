package imageset

import (
	"path"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	names, binaries := map[string]bool{}, map[string]bool{}
	for _, s := range append(All(), Peers()...) {
		require.False(t, names[s.Name], "two images %s", s.Name)
		names[s.Name] = true
		require.True(t, path.IsAbs(s.Path), s.Name)
		require.Regexp(t, regexp.MustCompile(`^\d+:\d+$`), s.User, "%s: runAsNonRoot can only check numbers", s.Name)
		require.Equal(t, s.Name == "init", s.User == userRoot, "%s: init alone programs the kernel", s.Name)
		require.NotEmpty(t, s.Description, s.Name)
		if s.Package != "" {
			// All binaries are written to one folder.
			require.False(t, binaries[path.Base(s.Package)], s.Package)
			binaries[path.Base(s.Package)] = true
		}
	}
	// The names users' chart values and mirrors know.
	for _, name := range []string{"osm-controller", "osm-injector", "osm-bootstrap", "osm-preinstall", "osm-crds", "init", "osm-healthcheck"} {
		require.True(t, names[name], name)
	}
}

func TestReferences(t *testing.T) {
	specs, err := Select([]string{Envoy, "init"})
	require.NoError(t, err)
	require.Len(t, specs, 2)
	require.Equal(t, "openservicemesh/init:v1", specs[0].Reference("openservicemesh", "v1"))
	require.Equal(t, "localhost:5000/a/init:v1", specs[0].Reference("localhost:5000/a/", "v1"))
	require.Equal(t, "envoyproxy/envoy-distroless:v"+EnvoyVersion, specs[1].Reference("anything", "v1"))
}

func TestSelectNamesTheImagesThereAre(t *testing.T) {
	peers, err := Select([]string{"curl", "fortio", "init"})
	require.NoError(t, err)
	require.Equal(t, []string{"init", "fortio", "curl"}, []string{peers[0].Name, peers[1].Name, peers[2].Name})
	require.Equal(t, "fortio/fortio:1.66.3", peers[1].Reference("anything", "v1"))
	_, err = Select([]string{"osm-init"})
	require.ErrorContains(t, err, `there is no image "osm-init"; the images are osm-controller, `)
	all, err := Select(nil)
	require.NoError(t, err)
	require.Equal(t, All(), all)
	require.NotContains(t, Pushable(), Envoy)
	require.NotContains(t, Pushable(), "fortio")
	require.Len(t, Pushable(), len(All())-1)
}
