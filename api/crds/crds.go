package crds

import (
	"embed"
	"fmt"
	"io/fs"

	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed *.yaml
var files embed.FS

// Files returns the definitions as YAML files at the root of a file system, one
// per kind, named <group>_<plural>.yaml.
func Files() fs.FS {
	return files
}

// All returns the definitions in the order of their file names, that is by
// group and plural. Each call returns copies of its own. An error names the
// file that does not parse.
func All() ([]*apiext.CustomResourceDefinition, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	out := make([]*apiext.CustomResourceDefinition, 0, len(names))
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		def := &apiext.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, def); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, def)
	}
	return out, nil
}
