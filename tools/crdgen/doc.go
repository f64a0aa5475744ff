// Command crdgen generates what is generated below api/: the deep copies
// (zz_generated.deepcopy.go) and one CustomResourceDefinition per kind
// (crds/*.yaml), from the markers in the Go types, with controller-tools.
//
// Input: the repository's root folder (flag -root). Output: those files; with
// -check nothing is written and the exit code is 1 when a file would change.
//
// What the markers cannot say is added afterwards, in post.go: labels, the
// conversion strategy, versions that are declared but not served, one-of
// constraints and open schemas. The output depends on nothing but the types.
package main
