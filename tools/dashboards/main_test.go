package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDashboardsAreUpToDate(t *testing.T) {
	require.NoError(t, run("../../charts/osm/grafana/dashboards", true))
}

func TestADescriptionThatIsWrong(t *testing.T) {
	_, err := generate([]byte("- name: x\n  pannels: []\n"))
	require.ErrorContains(t, err, "pannels")
}
