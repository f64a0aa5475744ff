// Package ir is what a proxy must do, said without Kubernetes and without Envoy: which connections it takes, how it
// routes and judges them, where it sends them. Input: nothing, these are values that plan fills. Output: a Proxy that
// envoy translates and that `osm x render -o ir` prints. Everything is ordered, so equal meaning is equal JSON.
// It imports the standard library and meshid only.
package ir
