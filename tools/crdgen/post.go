package main

import (
	"fmt"
	"slices"

	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// unserved lists, by CRD name, versions that are declared and not served. An
// API server that once stored objects under such a version refuses a
// definition without it.
var unserved = map[string][]string{
	"traffictargets.access.smi-spec.io": {"v1alpha2", "v1alpha1"},
	"httproutegroups.specs.smi-spec.io": {"v1alpha3", "v1alpha2", "v1alpha1"},
	"tcproutes.specs.smi-spec.io":       {"v1alpha3", "v1alpha2", "v1alpha1"},
}

// alike lists, by CRD name, versions that are served with the schema of the
// stored one, whose objects differ in nothing but apiVersion: so they need no
// conversion.
var alike = map[string][]string{
	"trafficsplits.split.smi-spec.io": {"v1alpha4", "v1alpha3"},
}

// oneOf lists, by CRD name, objects in the schema of which exactly one of some
// fields has to be set. The last word of the path may be `items`.
var oneOf = map[string][]oneOfRule{
	"meshrootcertificates.config.openservicemesh.io": {
		{[]string{"spec", "provider"}, []string{"tresor", "vault", "certManager"}},
	},
	"upstreamtrafficsettings.policy.openservicemesh.io": {
		{[]string{"spec", "rateLimit", "global", "http", "descriptors", "items", "entries", "items"}, descriptorKinds},
		{[]string{"spec", "rateLimit", "global", "http", "descriptors", "items", "entries", "items", "headerValueMatch", "headers", "items"}, headerConditions},
		{[]string{"spec", "httpRoutes", "items", "rateLimit", "global", "descriptors", "items", "entries", "items"}, descriptorKinds},
		{[]string{"spec", "httpRoutes", "items", "rateLimit", "global", "descriptors", "items", "entries", "items", "headerValueMatch", "headers", "items"}, headerConditions},
	},
}

type oneOfRule struct {
	path   []string
	fields []string
}

var (
	descriptorKinds  = []string{"genericKey", "remoteAddress", "requestHeader", "headerValueMatch"}
	headerConditions = []string{"exact", "prefix", "suffix", "regex", "contains", "present"}
)

// open lists, by CRD name, objects whose fields are free.
var open = map[string][][]string{
	"meshrootcertificates.config.openservicemesh.io": {{"status"}},
}

// postProcess adds to a definition what markers cannot say.
func postProcess(def *apiext.CustomResourceDefinition) error {
	def.Labels = map[string]string{"app.kubernetes.io/name": "openservicemesh.io"}
	def.Spec.Conversion = &apiext.CustomResourceConversion{Strategy: apiext.NoneConverter}
	for i := range def.Spec.Versions {
		root := def.Spec.Versions[i].Schema.OpenAPIV3Schema
		for _, rule := range oneOf[def.Name] {
			if err := editSchema(root, rule.path, func(s *apiext.JSONSchemaProps) error {
				return requireOneOf(s, rule.fields)
			}); err != nil {
				return err
			}
		}
		for _, path := range open[def.Name] {
			if err := editSchema(root, path, openSchema); err != nil {
				return err
			}
		}
	}
	for _, name := range alike[def.Name] {
		v := def.Spec.Versions[0].DeepCopy()
		v.Name, v.Storage = name, false
		def.Spec.Versions = append(def.Spec.Versions, *v)
	}
	for _, name := range unserved[def.Name] {
		def.Spec.Versions = append(def.Spec.Versions, unservedVersion(name))
	}
	return nil
}

// editSchema applies edit to the schema at path below s, where `items` is the
// schema of a list's items.
func editSchema(s *apiext.JSONSchemaProps, path []string, edit func(*apiext.JSONSchemaProps) error) error {
	if len(path) == 0 {
		return edit(s)
	}
	if path[0] == "items" && s.Type == "array" {
		return editSchema(s.Items.Schema, path[1:], edit)
	}
	child, ok := s.Properties[path[0]]
	if !ok {
		return fmt.Errorf("the schema has no field %q", path[0])
	}
	if err := editSchema(&child, path[1:], edit); err != nil {
		return fmt.Errorf("%s: %w", path[0], err)
	}
	s.Properties[path[0]] = child
	return nil
}

func requireOneOf(s *apiext.JSONSchemaProps, fields []string) error {
	for _, field := range fields {
		if _, ok := s.Properties[field]; !ok {
			return fmt.Errorf("the schema has no field %q", field)
		}
		s.OneOf = append(s.OneOf, apiext.JSONSchemaProps{Required: []string{field}})
	}
	for field := range s.Properties {
		if !slices.Contains(fields, field) && !slices.Contains(s.Required, field) {
			return fmt.Errorf("the field %q is neither required nor one of %v", field, fields)
		}
	}
	return nil
}

func openSchema(s *apiext.JSONSchemaProps) error {
	s.Properties, s.Required = nil, nil
	preserve := true
	s.XPreserveUnknownFields = &preserve
	return nil
}

func unservedVersion(name string) apiext.CustomResourceDefinitionVersion {
	preserve := true
	return apiext.CustomResourceDefinitionVersion{
		Name: name,
		Schema: &apiext.CustomResourceValidation{OpenAPIV3Schema: &apiext.JSONSchemaProps{
			Description:            "Declared for objects that were stored long ago; not served.",
			Type:                   "object",
			XPreserveUnknownFields: &preserve,
		}},
	}
}
