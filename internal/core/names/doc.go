// Package names is the one place where a name that an OSM user can observe is written: labels, annotations, ports,
// object names, Envoy resource names. Dashboards, scripts and `osm verify` compare these strings exactly, so nothing
// here may change without breaking somebody. Input: meshid values. Output: strings and numbers. It imports meshid only.
package names
