package bootstrap

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxKept bounds a Memory: 128 texts of 15 to 30 kB.
const maxKept = 128

// Memory makes the texts of bootstraps and keeps them, by all values but the proxy's own two names: pods of one workload differ in
// nothing else. The zero value keeps nothing yet. Text may be called concurrently; its result does not depend on what is kept.
type Memory struct {
	mu   sync.Mutex
	kept map[string]template
}

// template is a text without the node's names: what stands before the first, between the two, and after.
type template [3]string

// The names that templates are made with, in the order in which they are written.
const placeID, placeCluster = "{node id}", "{node cluster}"

// Text is Build and then Text.
func (m *Memory) Text(c Config) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	t, err := m.template(c)
	if err != nil {
		return "", err
	}
	id, err := quote(c.NodeID)
	if err != nil {
		return "", err
	}
	cluster, err := quote(c.NodeCluster)
	if err != nil {
		return "", err
	}
	return t[0] + id + t[1] + cluster + t[2], nil
}

func (m *Memory) template(c Config) (template, error) {
	c.NodeID, c.NodeCluster = placeID, placeCluster
	values, err := json.Marshal(c)
	if err != nil {
		return template{}, fmt.Errorf("sidecar bootstrap: %w", err)
	}
	key := string(values)
	m.mu.Lock()
	t, ok := m.kept[key]
	m.mu.Unlock()
	if ok {
		return t, nil
	}
	if t, err = makeTemplate(c); err != nil {
		return template{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= maxKept {
		m.kept = map[string]template{}
	}
	m.kept[key] = t
	return t, nil
}

func makeTemplate(c Config) (template, error) {
	b, err := Build(c)
	if err != nil {
		return template{}, err
	}
	text, err := Text(b)
	if err != nil {
		return template{}, err
	}
	before, rest, hasID := strings.Cut(text, `"`+placeID+`"`)
	between, after, hasCluster := strings.Cut(rest, `"`+placeCluster+`"`)
	if !hasID || !hasCluster {
		return template{}, fmt.Errorf("sidecar bootstrap: the node's names are not in the text")
	}
	return template{before, between, after}, nil
}

// quote writes a string as Text does.
func quote(s string) (string, error) {
	js, err := protojson.Marshal(wrapperspb.String(s))
	if err != nil {
		return "", fmt.Errorf("sidecar bootstrap: encode: %w", err)
	}
	return string(js), nil
}
