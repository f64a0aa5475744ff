// Package snapshot is the immutable view of the cluster that everything is computed from. Input: Kubernetes objects of
// monitored namespaces, the MeshConfig and the policy objects, collected by internal/kube or read from a directory.
// Output: one Snapshot value per generation: sorted slices and indexes that nobody changes afterwards. It imports
// meshid, the api types and k8s.io/api types; never client-go, a clock or a logger.
package snapshot
