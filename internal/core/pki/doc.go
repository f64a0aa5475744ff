// Package pki decides what the mesh's certificates say: names, key usages, lifetimes and when to renew. Input: identities,
// names, a root certificate and the present time. Output: certificate templates and instants. It draws no random number,
// signs nothing and reads no clock; package certs does. It imports the standard library and meshid only.
package pki
