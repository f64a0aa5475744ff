// Package re2 judges regular expressions that users write. Input: the text. Output: why Envoy would refuse it; over one
// expression that it cannot read, Envoy refuses everything that came with it. It imports the standard library alone.
package re2
