// Package bootstrap builds the configuration a sidecar starts with: how it reaches its control plane, how it proves who
// it is, and the few listeners it serves on its own (health probes, "the sidecar is ready").
//
// Input: a Config, all of it known when the pod is admitted. Output: Envoy's own Bootstrap message, so that the compiler
// checks every field, and its YAML. Nothing in it is secret: the pod's token is read by Envoy from a file at run time.
//
// It may import go-control-plane's types, protobuf, core/names and core/probe; no Kubernetes types and nothing that
// touches the world.
package bootstrap
