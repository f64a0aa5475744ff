// Package probe rewrites the kubelet's health probes of an injected pod, so that they still reach the application
// although the sidecar takes every inbound connection and speaks mutual TLS only.
//
// Input: the containers of a pod. Output: the same containers with rewritten probes, the Targets the sidecar's
// bootstrap has to serve, the ports the health-check helper may dial, and warnings for what cannot work.
//
// It may import k8s.io/api and apimachinery types, core/names and the standard library; nothing that touches the world.
package probe
