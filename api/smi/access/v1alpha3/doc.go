// Package v1alpha3 holds access.smi-spec.io/v1alpha3: TrafficTarget.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery and api/status only.
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha3
