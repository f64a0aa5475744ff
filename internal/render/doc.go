// Package render shows what the pure core makes of a snapshot: for every kind of proxy its plan and its Envoy resources,
// as text. Input: a snapshot. Output: YAML. It is the engine of `osm x render` and of the golden tests, so what a user
// attaches to a report is what a test can replay. It imports core only: no cluster, no clock, no files.
package render
