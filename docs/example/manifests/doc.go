// Package manifests embeds the example manifests that the documentation has a
// user apply, so that tests and demonstrations read the very files users do.
//
// Input: the YAML files beside this one. Output: Files.
// It must not import anything: manifests depend on no code.
package manifests

import "embed"

// Files holds apps/, policies/ (the walk-through's three files), access/ and
// split/ (the getting-started guide's).
//
//go:embed apps policies access split
var Files embed.FS
