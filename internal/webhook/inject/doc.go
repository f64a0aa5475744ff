// Package inject is the mutating webhook: it answers the admission of a pod with the JSON patch that adds the sidecar.
//
// Input: admission requests; the namespaces of the mesh and its MeshConfig, watched (Cluster). Output: admission
// responses, and the MutatingWebhookConfiguration that makes the API server ask (Configuration). Admitting a pod writes
// nothing. What an injected pod looks like is decided in internal/core/podpatch.
//
// It must not import internal/xds or anything that generates configuration of running proxies.
package inject
