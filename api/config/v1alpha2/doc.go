// Package v1alpha2 holds config.openservicemesh.io/v1alpha2: MeshConfig,
// MeshRootCertificate and ExtensionService.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery, core/v1 (ResourceRequirements) and api/status only.
//
// +kubebuilder:object:generate=true
// +groupName=config.openservicemesh.io
package v1alpha2
