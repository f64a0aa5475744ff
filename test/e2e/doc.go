// Package e2e runs the mesh for real: the local cluster, real Envoy, the bookstore applications. The first tests tell the
// walk-through; the ones after it use the mesh it leaves behind. One file per feature. Needs root; run it by `make e2e`.
package e2e
