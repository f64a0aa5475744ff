// Package api is the root of everything a user of the mesh writes: the custom
// resources of Open Service Mesh, of the Service Mesh Interface and of the
// multi-cluster services API, one package per group and version.
//
// Input: nothing. Output: Go types with generated deep copies, and one
// CustomResourceDefinition per kind in package crds. The packages below import
// k8s.io/apimachinery and k8s.io/api/core/v1 only; crds alone also imports the
// apiextensions types. None of them may import anything from internal/.
//
// Rules that hold for every kind:
//
//   - Any number a schema accepts fits the Go field, and strings that need
//     parsing stay strings. One odd object in one namespace must never make
//     the list of its kind undecodable for the whole mesh.
//   - Any manifest that the original's API server accepted and acted on is
//     accepted here. What is syntactically fine but has no effect is reported
//     on the object's status, not refused.
//   - Every kind has a status subresource, so that writing a status never
//     bumps metadata.generation and never races with the author's spec.
//
// Deep copies and CRDs are generated from the markers in these files by
// tools/crdgen; run `go generate ./api` after a change.
package api

//go:generate ../tools/generate-api.sh
