package traffictarget

import (
	"fmt"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
)

// Validate says why an object is refused at admission; nil when it is not. What is only useless is accepted and gets
// findings.
func Validate(o *access.TrafficTarget) error {
	if o.Namespace != o.Spec.Destination.Namespace {
		return fmt.Errorf("The traffic target namespace (%s) must match spec.Destination.Namespace (%s)", //nolint:staticcheck // users and scripts know this text
			o.Namespace, o.Spec.Destination.Namespace)
	}
	return nil
}
