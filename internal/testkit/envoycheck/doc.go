// Package envoycheck asks a real Envoy whether it would accept a generated configuration. Input: a proxy's resources
// and its endpoints. Output: nothing, or Envoy's own complaint. Envoy's --mode validate takes one static file, so what a
// sidecar would be sent piece by piece is put together here: routes into listeners, addresses and secrets into clusters.
// For tests only.
package envoycheck
