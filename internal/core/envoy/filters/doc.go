// Package filters builds the network, HTTP and listener filters that chains are made of: one file each, and order.go
// says in which order they stand. Input: parts of the ir. Output: Envoy's filter messages. It imports ir, names and
// Envoy's types only.
package filters
