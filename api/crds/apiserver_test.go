package crds_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// apiServer does to an object what an API server with the definitions does to
// a write request: defaulting, pruning and validation, rules in CEL included, with the same code.
type apiServer struct {
	versions map[schema.GroupVersionKind]version
}

type version struct {
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
	served     bool
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{versions: map[schema.GroupVersionKind]version{}}
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			internal := &apiextensions.JSONSchemaProps{}
			require.NoError(t, apiext.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, internal, nil))
			structural, err := structuralschema.NewStructural(internal)
			require.NoError(t, err)
			validator, _, err := validation.NewSchemaValidator(internal)
			require.NoError(t, err)
			gvk := schema.GroupVersionKind{Group: def.Spec.Group, Version: v.Name, Kind: def.Spec.Names.Kind}
			s.versions[gvk] = version{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit), v.Served}
		}
	}
	return s
}

// create is a write of the main resource: the status is dropped, as the status
// subresource demands.
func (s *apiServer) create(object map[string]any) (map[string]any, error) {
	object = (&unstructured.Unstructured{Object: object}).DeepCopy().Object
	delete(object, "status")
	return s.admit(object)
}

// admit returns the object as it would be stored. Unknown fields are errors, as
// with `kubectl --validate=strict`.
func (s *apiServer) admit(object map[string]any) (map[string]any, error) {
	return s.change(object, nil)
}

// change is admit of an object that was old before; nil when there was none.
func (s *apiServer) change(object, old map[string]any) (map[string]any, error) {
	u := (&unstructured.Unstructured{Object: object}).DeepCopy()
	v, ok := s.versions[u.GroupVersionKind()]
	if !ok || !v.served {
		return nil, fmt.Errorf("no matches for %s", u.GroupVersionKind())
	}
	opts := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	var unknownErr error
	if unknown := pruning.PruneWithOptions(u.Object, v.structural, true, opts); len(unknown) > 0 {
		slices.Sort(unknown)
		unknownErr = fmt.Errorf("unknown fields: %v", unknown)
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, v.structural)
	defaulting.Default(u.Object, v.structural)
	schemaErr := validation.ValidateCustomResource(nil, u.Object, v.validator).ToAggregate()
	var rulesErr error
	if schemaErr == nil { // as the API server does, since rules rely on the types of fields
		var before any // a nil map would be an object without fields
		if old != nil {
			before = old
		}
		broken, _ := v.rules.Validate(context.Background(), nil, v.structural, u.Object, before, celconfig.RuntimeCELCostBudget)
		rulesErr = broken.ToAggregate()
	}
	return u.Object, errors.Join(
		unknownErr, schemaErr, rulesErr,
		listtype.ValidateListSetsAndMaps(nil, v.structural, u.Object).ToAggregate(),
	)
}

// parse reads one YAML document the way kubectl does.
func parse(t *testing.T, document []byte) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict(document)
	require.NoError(t, err)
	var object map[string]any
	require.NoError(t, json.Unmarshal(raw, &object))
	return object
}
