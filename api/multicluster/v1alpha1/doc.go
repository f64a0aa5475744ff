// Package v1alpha1 holds multicluster.x-k8s.io/v1alpha1: ServiceImport and
// ServiceExport, as the multi-cluster services API of Kubernetes defines them.
//
// Input: nothing. Output: the Go types and their registration in a scheme. It
// imports apimachinery only.
//
// +kubebuilder:object:generate=true
// +groupName=multicluster.x-k8s.io
package v1alpha1
