// Package v1alpha2 holds split.smi-spec.io/v1alpha2: TrafficSplit.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery and api/status only.
//
// +kubebuilder:object:generate=true
// +groupName=split.smi-spec.io
package v1alpha2
