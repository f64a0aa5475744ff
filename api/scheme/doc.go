// Package scheme lists the kinds below api/ and registers all of them.
//
// Input: nothing. Output: AddToScheme for clients and decoders, and the table
// Kinds for whatever loops over kinds: informers, RBAC, status, CLI, docs. It
// imports the packages of the kinds and apimachinery only; a test holds the
// table against the CRDs.
package scheme
