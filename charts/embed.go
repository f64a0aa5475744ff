package charts

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"openservicemesh.io/osm/internal/version"
)

// The prefix all: takes in the templates whose names begin with an underscore.
//
//go:embed all:osm
var files embed.FS

const root = "osm"

// OSM loads the embedded chart. Its version and appVersion are those of this build, so that a released binary installs
// the images released with it.
func OSM() (*chart.Chart, error) {
	buffered, err := Files()
	if err != nil {
		return nil, err
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("load the embedded chart: %w", err)
	}
	c.Metadata.AppVersion = version.Version
	c.Metadata.Version = strings.TrimPrefix(version.Version, "v")
	return c, nil
}

// Files lists the files of the embedded chart as Helm's loader takes them, with paths relative to the chart's folder.
func Files() ([]*archive.BufferedFile, error) {
	var out []*archive.BufferedFile
	err := fs.WalkDir(files, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		out = append(out, &archive.BufferedFile{Name: strings.TrimPrefix(path, root+"/"), Data: data})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded chart: %w", err)
	}
	return out, nil
}

// ManagedValues is the preset of a managed installation, charts/osm/values-managed.yaml.
func ManagedValues() ([]byte, error) {
	return files.ReadFile(root + "/values-managed.yaml")
}
