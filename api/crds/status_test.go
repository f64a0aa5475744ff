package crds_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryKindHasConditions: whatever a user writes, the control plane can say on it what it makes of it, and of which
// generation. A status of an open schema takes conditions too.
func TestEveryKindHasConditions(t *testing.T) {
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			if !v.Served {
				continue
			}
			name := def.Name + " " + v.Name
			require.NotNil(t, v.Subresources, name)
			require.NotNil(t, v.Subresources.Status, name)
			status, ok := v.Schema.OpenAPIV3Schema.Properties["status"]
			require.True(t, ok, name)
			if open := status.XPreserveUnknownFields; open != nil && *open {
				continue
			}
			require.Contains(t, status.Properties, "observedGeneration", name)
			conditions, ok := status.Properties["conditions"]
			require.True(t, ok, name)
			require.Contains(t, conditions.Items.Schema.Properties, "observedGeneration", name)
		}
	}
}
