// Package check says whether a mesh is healthy and, if not, what to do. Input: Facts, everything a cluster holds that has to do
// with a mesh, as values. Output: Results, one for each check, with a stable ID that docs/guides/check.md explains. It imports
// the Kubernetes and the mesh's api types, names, podpatch and snapshot; no client, no network, no clock.
package check
