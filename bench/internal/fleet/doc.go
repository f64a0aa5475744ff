// Package fleet is many simulated sidecars in a process of their own: each a real delta-ADS stream over TLS with a token,
// which subscribes what its resources name, as Envoy does, acknowledges by nonce, remembers versions over reconnects and,
// when told to, refuses resources or reads slowly. Input: a Spec as one line of JSON, then commands, one a line. Output: one
// line of JSON for each command. It keeps of a resource its name and version only.
//
// A program that uses it calls Run in a child process of itself and Start in the parent.
package fleet
