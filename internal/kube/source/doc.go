// Package source watches a cluster and delivers snapshots. Input: a typed and a dynamic Kubernetes client. Output: one
// Update after another, each with a snapshot of a new generation, made on one goroutine: the first change goes out at
// once, then a short quiet period gathers bursts. Objects are converted as they arrive (package state), so nothing of
// a Kubernetes object but what the mesh needs stays in memory. It must not import anything that generates
// configuration.
package source
