// Package lifecycle does what the commands say: bring a cluster up, take it
// down, look at it, load images, run a command in its network.
//
// Input: a layout and options. Output: a running cluster, or none.
// It prints nothing itself but tells a Reporter, and must not import cobra.
package lifecycle
