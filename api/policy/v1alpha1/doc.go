// Package v1alpha1 holds policy.openservicemesh.io/v1alpha1: Egress,
// IngressBackend, Retry, UpstreamTrafficSetting and Telemetry.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery and api/status only.
//
// +kubebuilder:object:generate=true
// +groupName=policy.openservicemesh.io
package v1alpha1
