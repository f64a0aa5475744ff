// Package status holds the status fields that all kinds of the mesh share.
//
// Input: nothing. Output: structs that the kinds embed inline, and the names of
// the condition types. It imports apimachinery only.
//
// +kubebuilder:object:generate=true
package status
