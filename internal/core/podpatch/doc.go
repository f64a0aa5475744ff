// Package podpatch decides whether a pod gets a sidecar and what it then looks like.
//
// Input: the pod as the API server received it, its namespace, the mesh's Settings and a fresh proxy UUID. Output: the
// injected pod, the JSON patch that makes it of the original, and warnings for the user. A pod that was injected before
// and is created again (a debug copy, a manifest read back from the cluster) is first brought back to what it was.
//
// It may import k8s.io/api and apimachinery types, the types of MeshConfig, other core packages and the standard library. It reads no cluster,
// no clock and no randomness: the caller hands everything in.
package podpatch
