// Package pipeline joins the pure stages: snapshot → plan → Envoy resources, one View per generation. Input: snapshots
// and what changed in them, the trust bundle. Output: an immutable View that the xDS hub serves from. It remembers the
// last View so that what did not change keeps its very pointer: the hub compares pointers to know whom to wake. It
// imports core only; no Kubernetes client, no gRPC.
package pipeline
