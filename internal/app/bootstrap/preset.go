package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/app/crds"
	"openservicemesh.io/osm/internal/core/names"
)

// lastApplied is where kubectl keeps what it applied; with it users can `kubectl apply` the object without a warning.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Names of the preset for the MeshRootCertificate. The chart has it only where that feature is on.
const (
	presetRoot    = "preset-mesh-root-certificate"
	presetRootKey = "preset-mesh-root-certificate.json"
)

// servedPoll is how often an object is applied again while the API server does not serve a definition yet.
const servedPoll = 50 * time.Millisecond

// preset says which object is made once of which ConfigMap.
type preset struct {
	resource       schema.GroupVersionResource
	kind, name     string
	configMap, key string
	// optional: without the ConfigMap there is nothing to make.
	optional bool
}

func presets(configName string) []preset {
	return []preset{
		{v1alpha2.MeshConfigs, v1alpha2.KindMeshConfig, configName, names.PresetMeshConfig, names.PresetMeshConfigKey, false},
		{v1alpha2.MeshRootCertificates, v1alpha2.KindMeshRootCertificate, crds.MeshRootCertificate, presetRoot, presetRootKey, true},
	}
}

// ensure creates the object if there is none. One that is there is never touched: it is the user's.
func (p preset) ensure(ctx context.Context, c crds.Clients, namespace string, log *slog.Logger) error {
	objects := c.Dynamic.Resource(p.resource).Namespace(namespace)
	if _, err := objects.Get(ctx, p.name, metav1.GetOptions{}); err == nil {
		log.Info("the object exists and stays as it is", "kind", p.kind, "name", p.name)
		return nil
	}
	obj, err := p.object(ctx, c, namespace)
	if err != nil || obj == nil {
		return err
	}
	tick := time.NewTicker(servedPoll)
	defer tick.Stop()
	for {
		// Applied and not created: the API server holds back whoever creates an object of a definition younger than two
		// seconds for two seconds, which is as long as all the rest of this program's work.
		_, err := objects.Apply(ctx, p.name, obj, metav1.ApplyOptions{FieldManager: names.Bootstrap})
		switch {
		case err == nil:
			log.Info("created the object from its preset", "kind", p.kind, "name", p.name, "preset", p.configMap)
			return nil
		case apierrors.IsConflict(err): // another replica was faster, and somebody changed the object since
			return nil
		case !apierrors.IsNotFound(err): // not found: an established definition takes a moment to be served
			return fmt.Errorf("cannot create %s %s/%s from ConfigMap %s key %s: %w", p.kind, namespace, p.name, p.configMap, p.key, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot create %s %s/%s: %w", p.kind, namespace, p.name, err)
		case <-tick.C:
		}
	}
}

// object reads the preset, the JSON of the object's spec. nil without an error means there is no optional preset.
func (p preset) object(ctx context.Context, c crds.Clients, namespace string) (*unstructured.Unstructured, error) {
	where := fmt.Sprintf("ConfigMap %s/%s", namespace, p.configMap)
	cm, err := c.Core.CoreV1().ConfigMaps(namespace).Get(ctx, p.configMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && p.optional {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which %s %s is made of, cannot be read: %w; install the chart again", where, p.kind, p.name, err)
	}
	text, ok := cm.Data[p.key]
	if !ok {
		return nil, fmt.Errorf("%s has no key %s; install the chart again", where, p.key)
	}
	var spec map[string]any
	if err := json.Unmarshal([]byte(text), &spec); err != nil || spec == nil {
		return nil, fmt.Errorf("%s key %s is not the JSON object of a %s's spec: %w", where, p.key, p.kind, jsonProblem(err))
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(),
		"kind":       p.kind,
		"metadata":   map[string]any{"name": p.name, "namespace": namespace, "annotations": map[string]any{}},
		"spec":       spec,
	}}
	// As kubectl writes it: the object with empty annotations, and a line break.
	applied, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, fmt.Errorf("%s key %s: %w", where, p.key, err)
	}
	obj.SetAnnotations(map[string]string{lastApplied: string(applied) + "\n"})
	return obj, nil
}

func jsonProblem(err error) error {
	if err == nil {
		return errors.New("it is null")
	}
	return err
}
