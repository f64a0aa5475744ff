// Package sim answers "a call from A to B ends how?" by reading the generated Envoy resources of both sidecars the way
// Envoy would. Input: the resources, the endpoints, and a call. Output: an Outcome, with the chain, route and rule that
// decided. It knows only what the mesh generates: a resource that says something else is an error, never a guess.
// It imports envoy, meshid and names; no network, no clock.
package sim
