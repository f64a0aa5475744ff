// Package v1alpha1 holds config.openservicemesh.io/v1alpha1: the deprecated
// form of MeshConfig, still served for old manifests and stored as v1alpha2.
//
// There is no conversion: the fields have the same names in both versions and
// v1alpha2 has some more, which pass through a v1alpha1 client untouched.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery, core/v1, api/status and v1alpha2 only.
//
// +kubebuilder:object:generate=true
// +groupName=config.openservicemesh.io
package v1alpha1
