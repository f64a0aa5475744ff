package cli

import (
	"fmt"
	"os"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/charts"
)

// chartSource is what install and upgrade take from the user: a chart and values for it.
type chartSource struct {
	path  string
	files []string
	sets  []string
}

// load returns the chart of --osm-chart-path, or the embedded one.
func (s chartSource) load(purpose string) (*chart.Chart, error) {
	var c *chart.Chart
	var err error
	if s.path != "" {
		c, err = loader.Load(s.path)
	} else {
		c, err = charts.OSM()
	}
	if err != nil {
		return nil, fmt.Errorf("error loading chart for %s: %w", purpose, err)
	}
	return c, nil
}

// values reads the files of --values in order and lays --set over them.
func (s chartSource) values() (map[string]any, error) {
	vals := map[string]any{}
	for _, path := range s.files {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read --values: %w", err)
		}
		file := map[string]any{}
		if err := yaml.Unmarshal(raw, &file); err != nil {
			return nil, fmt.Errorf("read --values %s: %w", path, err)
		}
		vals = loader.MergeMaps(vals, file)
	}
	for _, set := range s.sets {
		if err := strvals.ParseInto(set, vals); err != nil {
			return nil, fmt.Errorf("invalid format for --set: %w", err)
		}
	}
	return vals, nil
}

// osmValues returns vals["osm"], made when absent. A scalar in its place is the user's mistake, which the chart's schema
// would report no better.
func osmValues(vals map[string]any) (map[string]any, error) {
	switch v := vals["osm"].(type) {
	case nil:
		m := map[string]any{}
		vals["osm"] = m
		return m, nil
	case map[string]any:
		return v, nil
	default:
		return nil, fmt.Errorf("invalid format for --set: osm must hold settings, got %v", v)
	}
}
