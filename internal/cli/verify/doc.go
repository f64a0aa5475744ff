// Package verify says whether the pods of a mesh hold the configuration that a call needs, and what to do when they do not: the
// engine of `osm verify`. Input: Kubernetes objects and the configuration dumps of sidecars, through the functions of World.
// Output: a Result and its text. It compares the names of resources, which users know, and decodes nothing else of a dump, so
// that a dump of any Envoy can be read. It imports no other part of the command.
package verify
