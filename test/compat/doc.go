// Package compat asks one question: is it still OSM? It holds the tables of what users of OSM 1.2 write and read (chart
// values, flags, manifests, messages) and compares them with what this repository does. Input: the embedded chart, the osm
// command, the names in internal/core/names. Output: test results only; nothing imports this package.
package compat
