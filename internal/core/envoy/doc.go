// Package envoy turns a proxy's plan into Envoy's own resources. Input: ir.Proxy, the trust bundle, endpoints. Output:
// encoded xDS resources with their references. It imports ir, meshid, names and Envoy's types; neither api nor
// snapshot, so Envoy can be understood without Kubernetes.
package envoy
