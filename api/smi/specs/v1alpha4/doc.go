// Package v1alpha4 holds specs.smi-spec.io/v1alpha4: HTTPRouteGroup and
// TCPRoute.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery and api/status only.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha4
