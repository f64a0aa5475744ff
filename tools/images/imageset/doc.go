// Package imageset builds the project's container images without a container
// engine.
//
// Input: the programs of this repository (compiled here, statically), the
// table in table.go and, for the local cluster's Envoy, the pinned wheel.
// Output: one docker-style tar per image, or images pushed to a registry.
// The same input gives the same bytes: entries are sorted, times are fixed,
// builds carry no paths.
//
// It is a tool for building, so nothing under internal/ or cmd/ may import it,
// and of the repository it imports internal/version alone.
package imageset
