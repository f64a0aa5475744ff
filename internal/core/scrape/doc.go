// Package scrape sends Prometheus to a pod's sidecar, which answers for itself and for the application.
//
// Input: a pod's prometheus.io annotations and its containers. Output: annotations that lead to the sidecar, with what the
// user wrote kept in one of the mesh's own, from which the control plane reads where the application shows its metrics and
// which gives the user's annotations back.
package scrape
