package crds_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"openservicemesh.io/osm/api/scheme"
)

// served calls check for every served version, with its schema and Go type.
func served(t *testing.T, check func(name string, s *apiext.JSONSchemaProps, goType reflect.Type)) {
	t.Helper()
	types, _, err := scheme.New()
	require.NoError(t, err)
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			if !v.Served {
				continue
			}
			gvk := schema.GroupVersionKind{Group: def.Spec.Group, Version: v.Name, Kind: def.Spec.Names.Kind}
			object, err := types.New(gvk)
			require.NoError(t, err)
			list := gvk
			list.Kind = def.Spec.Names.ListKind
			require.True(t, types.Recognizes(list), list)
			check(def.Name+"/"+v.Name, v.Schema.OpenAPIV3Schema, reflect.TypeOf(object).Elem())
		}
	}
}

// TestGoTypesAndSchemasHaveTheSameFields finds a type that was changed without
// generating, and a field of the schema that Go would drop.
func TestGoTypesAndSchemasHaveTheSameFields(t *testing.T) {
	served(t, func(name string, s *apiext.JSONSchemaProps, goType reflect.Type) {
		compare(t, name, s, goType)
	})
}

// opaque are types whose JSON is not that of their Go fields.
var opaque = map[reflect.Type]bool{
	reflect.TypeFor[metav1.ObjectMeta](): true,
	reflect.TypeFor[metav1.Time]():       true,
	reflect.TypeFor[resource.Quantity](): true,
}

func compare(t *testing.T, path string, s *apiext.JSONSchemaProps, goType reflect.Type) {
	t.Helper()
	for goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	open := s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields && len(s.Properties) == 0
	if opaque[goType] || open {
		return
	}
	switch goType.Kind() {
	case reflect.Struct:
		require.Equal(t, "object", s.Type, path)
		fields := jsonFields(goType)
		require.Equal(t, sortedKeys(fields), sortedKeys(s.Properties), path)
		for name, fieldType := range fields {
			child := s.Properties[name]
			compare(t, path+"."+name, &child, fieldType)
		}
	case reflect.Slice:
		require.Equal(t, "array", s.Type, path)
		compare(t, path+"[]", s.Items.Schema, goType.Elem())
	case reflect.Map:
		require.Equal(t, "object", s.Type, path)
		compare(t, path+"{}", s.AdditionalProperties.Schema, goType.Elem())
	case reflect.String:
		require.Equal(t, "string", s.Type, path)
	case reflect.Bool:
		require.Equal(t, "boolean", s.Type, path)
	case reflect.Int, reflect.Int32, reflect.Int64:
		require.Equal(t, "integer", s.Type, path)
		requireFits(t, path, s, goType)
	default:
		t.Fatalf("%s is a %s, which no field should be", path, goType)
	}
}

// requireFits fails unless every number the schema accepts fits the Go type:
// one number too large makes the list of its kind undecodable.
func requireFits(t *testing.T, path string, s *apiext.JSONSchemaProps, goType reflect.Type) {
	t.Helper()
	if s.Format == "int64" && strings.HasSuffix(path, "bservedGeneration") {
		return // written by the control plane only
	}
	require.NotNil(t, s.Minimum, "%s has no minimum", path)
	require.NotNil(t, s.Maximum, "%s has no maximum", path)
	if goType.Kind() == reflect.Int32 {
		require.LessOrEqual(t, *s.Maximum, float64(math.MaxInt32), path)
	}
	require.LessOrEqual(t, *s.Maximum, float64(math.MaxUint32), path)
	require.GreaterOrEqual(t, *s.Minimum, float64(math.MinInt32), path)
}

// jsonFields returns the fields of a struct by their name in JSON, those of
// inlined structs included.
func jsonFields(goType reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range goType.NumField() {
		f := goType.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && slices.Contains(strings.Split(options, ","), "inline") {
			for n, inlined := range jsonFields(f.Type) {
				out[n] = inlined
			}
			continue
		}
		out[name] = f.Type
	}
	return out
}

// TestEveryAcceptedNumberDecodes sends both ends of every range, and the
// numbers beyond them, through the API server and the Go type.
func TestEveryAcceptedNumberDecodes(t *testing.T) {
	served(t, func(name string, root *apiext.JSONSchemaProps, goType reflect.Type) {
		walk(name, root, func(path string, s *apiext.JSONSchemaProps) {
			if s.Type != "integer" || s.Minimum == nil || s.Maximum == nil {
				return
			}
			for _, number := range []float64{*s.Minimum, *s.Maximum} {
				document := wrap(strings.TrimPrefix(path, name+"."), fmt.Sprintf("%.0f", number))
				object := reflect.New(goType).Interface()
				require.NoError(t, json.Unmarshal([]byte(document), object), path)
			}
		})
	})
}

// wrap returns the JSON document with one value at a path of walk.
func wrap(path, value string) string {
	head, rest, more := strings.Cut(path, ".")
	if more {
		value = wrap(rest, value)
	}
	for strings.HasSuffix(head, "[]") {
		head, value = strings.TrimSuffix(head, "[]"), "["+value+"]"
	}
	return fmt.Sprintf("{%q: %s}", head, value)
}
