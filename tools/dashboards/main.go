// Command dashboards writes the Grafana dashboards of charts/osm/grafana/dashboards from the descriptions in dashboards.yaml beside it. With
// -check nothing is written, and a file out of date is an error.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

//go:embed dashboards.yaml
var descriptions []byte

// description is one dashboard.
type description struct {
	// Name is the file's and the dashboard's identifier.
	Name, Title string
	// Variables are what a viewer chooses: a label's name, and the series that tell its values.
	Variables []struct{ Name, Label, From string }
	Panels    []struct {
		Title, Unit string
		// Queries are PromQL, by the legend that their series get.
		Queries []struct{ Legend, Query string }
	}
}

func main() {
	root := flag.String("root", ".", "the repository")
	check := flag.Bool("check", false, "write nothing, and fail when a file is out of date")
	flag.Parse()
	if err := run(filepath.Join(*root, "charts", "osm", "grafana", "dashboards"), *check); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	files, err := generate(descriptions)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if !check {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				return err
			}
			continue
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, text) {
			return fmt.Errorf("%s is out of date: run `make generate`", path)
		}
	}
	return nil
}

// generate returns the files' contents by their names.
func generate(text []byte) (map[string][]byte, error) {
	var all []description
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("dashboards.yaml: %w", err)
	}
	files := map[string][]byte{}
	for _, one := range all {
		js, err := json.MarshalIndent(dashboard(one), "", "  ")
		if err != nil {
			return nil, err
		}
		files[one.Name+".json"] = append(js, '\n')
	}
	return files, nil
}

// What Grafana reads; see https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model.
type object map[string]any

// Panels stand two in a row of the grid's 24 columns.
const (
	schemaVersion = 39
	panelWidth    = 12
	panelHeight   = 8
)

var source = object{"type": "prometheus", "uid": "${datasource}"}

func dashboard(d description) object {
	variables := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}}
	for _, v := range d.Variables {
		query := fmt.Sprintf("label_values(%s, %s)", v.From, v.Label)
		variables = append(variables, object{
			"name": v.Name, "type": "query", "datasource": source, "refresh": 2, "sort": 1,
			"definition": query, "query": object{"query": query, "refId": "values"},
		})
	}
	var panels []object
	for i, p := range d.Panels {
		var targets []object
		for j, q := range p.Queries {
			targets = append(targets, object{"refId": string(rune('A' + j)), "datasource": source, "expr": q.Query, "legendFormat": q.Legend})
		}
		panels = append(panels, object{
			"id": i + 1, "type": "timeseries", "title": p.Title, "datasource": source, "targets": targets,
			"gridPos":     object{"x": i % 2 * panelWidth, "y": i / 2 * panelHeight, "w": panelWidth, "h": panelHeight},
			"fieldConfig": object{"defaults": object{"unit": p.Unit, "min": 0}, "overrides": []object{}},
		})
	}
	return object{
		"uid": d.Name, "title": d.Title, "tags": []string{"osm"}, "schemaVersion": schemaVersion, "editable": true, "refresh": "10s",
		"time": object{"from": "now-30m", "to": "now"}, "templating": object{"list": variables}, "panels": panels,
	}
}
