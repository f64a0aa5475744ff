// Command chartdocs writes charts/osm/README.md, the reference of the chart's values, from charts/osm/values.yaml: a comment
// above a key that begins with "-- " describes it and, where they have none of their own, the keys below it. A value that
// nothing describes is an error. With -check nothing is written, and a file out of date is an error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	root := flag.String("root", ".", "the repository")
	check := flag.Bool("check", false, "write nothing, and fail when the file is out of date")
	flag.Parse()
	if err := run(filepath.Join(*root, "charts", "osm"), *check); err != nil {
		fmt.Fprintln(os.Stderr, "chartdocs:", err)
		os.Exit(1)
	}
}

func run(chart string, check bool) error {
	values, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	page, err := reference(values)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(chart, "values.yaml"), err)
	}
	path := filepath.Join(chart, "README.md")
	if !check {
		return os.WriteFile(path, page, 0o600)
	}
	have, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, page) {
		return fmt.Errorf("%s is out of date: run make generate", path)
	}
	return nil
}

const intro = `# The osm chart

The control plane of Open Service Mesh. Installing it with and without the ` + "`osm`" + ` command, from an OCI registry too, and what to
set in production: [docs/guides/install.md](../../docs/guides/install.md). Values that this page does not know are refused.

This page is generated from values.yaml by ` + "`make generate`" + `.

| value | default | what it does |
|---|---|---|
`

// reference is the page of a values file.
func reference(values []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(values, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("no values")
	}
	var rows []string
	var nameless []error
	walk(doc.Content[0], "", "", func(key, def, description string) {
		if description == "" {
			nameless = append(nameless, fmt.Errorf("%s has no description: write a comment \"# -- …\" above it", key))
		}
		rows = append(rows, fmt.Sprintf("| `%s` | `%s` | %s |\n", key, def, strings.ReplaceAll(description, "|", `\|`)))
	})
	return []byte(intro + strings.Join(rows, "")), errors.Join(nameless...)
}

// whole are keys whose values are Kubernetes' own shapes, shown as one.
var whole = map[string]bool{"affinity": true, "resource": true, "resources": true}

// walk calls row for every value, with the description of the nearest key that has one.
func walk(m *yaml.Node, prefix, inherited string, row func(key, def, description string)) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		description := inherited
		if d := describe(k.HeadComment); d != "" {
			description = d
		}
		switch {
		case whole[k.Value]:
			row(prefix+k.Value, "see values.yaml", description)
		case v.Kind == yaml.MappingNode && len(v.Content) > 0:
			walk(v, prefix+k.Value+".", description, row)
		default:
			row(prefix+k.Value, text(v), description)
		}
	}
}

// describe is the text of a comment from "-- " on, on one line.
func describe(comment string) string {
	_, text, found := strings.Cut(strings.ReplaceAll(comment, "\n# ", " "), "# -- ")
	if !found {
		return ""
	}
	return strings.TrimSpace(text)
}

// text is a value as it would be written.
func text(v *yaml.Node) string {
	flow := *v
	flow.Style |= yaml.FlowStyle
	flow.HeadComment, flow.LineComment, flow.FootComment = "", "", ""
	out, err := yaml.Marshal(&flow)
	if err != nil {
		return v.Value
	}
	return strings.TrimSpace(string(out))
}
