package life

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// changed is the definition in which the versions differ, whatever commit the previous one is built of: it is made to know no
// requestTimeout, and to allow fewRequests at most.
const (
	changed     = "upstreamtrafficsettings.policy.openservicemesh.io"
	fewRequests = 1000
)

// older changes the definition in the sources of the previous version.
func older(source string) error {
	path := filepath.Join(source, "api", "crds", "policy.openservicemesh.io_upstreamtrafficsettings.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	versions, found, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || !found || len(versions) != 1 {
		return fmt.Errorf("%s has not the one version that the test changes: %w", path, err)
	}
	http := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties", "connectionSettings", "properties", "http", "properties"}
	version := versions[0].(map[string]any)
	unstructured.RemoveNestedField(version, append(http, "requestTimeout")...)
	if err := unstructured.SetNestedField(version, int64(fewRequests), append(http, "maxRequests", "maximum")...); err != nil {
		return err
	}
	if err := unstructured.SetNestedSlice(crd, versions, "spec", "versions"); err != nil {
		return err
	}
	if text, err = yaml.Marshal(crd); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
