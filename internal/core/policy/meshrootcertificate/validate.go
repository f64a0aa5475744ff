package meshrootcertificate

import (
	"errors"
	"fmt"
	"reflect"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

// Validate says why an object must not be created, or changed from old, which is nil when it is created. others are the objects
// there are.
func Validate(o, old *config.MeshRootCertificate, others []*config.MeshRootCertificate) error {
	where := o.Namespace + "/" + o.Name
	if old == nil {
		return onlyActive(o, others)
	}
	switch {
	case !reflect.DeepEqual(o.Spec.Provider, old.Spec.Provider):
		return fmt.Errorf("cannot update certificate provider settings for MRC %s. Create a new MRC and initiate root certificate rotation to update the provider", where)
	case o.Spec.TrustDomain != old.Spec.TrustDomain:
		return fmt.Errorf("cannot update trust domain for MRC %s. Create a new MRC and initiate root certificate rotation to update the trust domain", where)
	case o.Spec.SpiffeEnabled != old.Spec.SpiffeEnabled:
		return fmt.Errorf("cannot update SpiffeEnabled for MRC %s. Create a new MRC and initiate root certificate rotation to update it", where)
	case old.Spec.Role == config.RoleActive && o.Spec.Role == config.RoleInactive,
		old.Spec.Role == config.RoleInactive && o.Spec.Role == config.RoleActive:
		return fmt.Errorf("cannot update MRC %s from role %s to %s. Give it the role passive first, and wait until its status.state is passive",
			where, old.Spec.Role, o.Spec.Role)
	}
	return nil
}

// onlyActive refuses a second active object that nobody trusts yet. The message is the original's, with its last blank.
func onlyActive(o *config.MeshRootCertificate, others []*config.MeshRootCertificate) error {
	if o.Spec.Role != config.RoleActive {
		return nil
	}
	for _, other := range others {
		if other.Namespace == o.Namespace && other.Name != o.Name && other.Spec.Role == config.RoleActive && other.DeletionTimestamp == nil {
			return fmt.Errorf("cannot create MRC %s/%s with active role. An MRC with this role already exists in the control plane namespace. ", o.Namespace, o.Name)
		}
	}
	return nil
}

// ErrSigning is why the object that signs must not be deleted.
var ErrSigning = errors.New("certificates are issued from this root, so it must not be deleted. " +
	"Make another MeshRootCertificate active first, or run `osm alpha certificate rotate`")
