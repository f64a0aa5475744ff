package render

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// PlaceholderRoots stand in rendered text for the mesh's root certificates, which are no part of the input.
const PlaceholderRoots = "the mesh's root certificates"

// kinds maps the words people use to resource types, in the order they are printed.
var kinds = []struct {
	word string
	typ  envoy.TypeURL
}{
	{"listeners", envoy.Listener}, {"routes", envoy.Route}, {"clusters", envoy.Cluster}, {"secrets", envoy.Secret},
}

// Kinds lists the words for the resource types of a proxy: listeners, routes, clusters, secrets.
func Kinds() []string {
	var out []string
	for _, k := range kinds {
		out = append(out, k.word)
	}
	return out
}

// IRText is a plan as YAML.
func IRText(p ir.Proxy) ([]byte, error) { return yaml.Marshal(p) }

// FindingsText is a list of findings as YAML; empty text when there are none.
func FindingsText(list []snapshot.Finding) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	return yaml.Marshal(list)
}

// EnvoyText is a proxy's resources as YAML, one list for each kind that is asked for; no words mean all kinds.
func EnvoyText(set *envoy.Resources, words ...string) ([]byte, error) {
	var out strings.Builder
	for _, k := range kinds {
		if len(words) > 0 && !slices.Contains(words, k.word) {
			continue
		}
		list := []json.RawMessage{}
		for _, r := range set.List(k.typ) {
			m, err := r.Body().UnmarshalNew()
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", k.word, r.Name, err)
			}
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", k.word, r.Name, err)
			}
			list = append(list, text)
		}
		text, err := yaml.Marshal(map[string]any{k.word: list})
		if err != nil {
			return nil, err
		}
		out.Write(text)
	}
	return []byte(out.String()), nil
}
