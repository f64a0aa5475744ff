package source

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"openservicemesh.io/osm/internal/kube/state"
)

// countedStore is a sink that counts what goes in.
type countedStore struct {
	*state.Sink
	onEvent func(event, namespace string)
}

// Add implements cache.ReflectorStore.
func (c *countedStore) Add(obj any) error { c.count("add", obj); return c.Sink.Add(obj) }

// Update implements cache.ReflectorStore.
func (c *countedStore) Update(obj any) error { c.count("update", obj); return c.Sink.Update(obj) }

// Delete implements cache.ReflectorStore.
func (c *countedStore) Delete(obj any) error { c.count("delete", obj); return c.Sink.Delete(obj) }

// Replace implements cache.ReflectorStore.
func (c *countedStore) Replace(list []any, rv string) error {
	for _, obj := range list {
		c.count("add", obj)
	}
	return c.Sink.Replace(list, rv)
}

func (c *countedStore) count(event string, obj any) {
	if m, err := meta.Accessor(obj); err == nil {
		c.onEvent(event, m.GetNamespace())
	}
}
