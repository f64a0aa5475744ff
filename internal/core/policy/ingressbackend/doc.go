// Package ingressbackend compiles IngressBackend objects (policy.openservicemesh.io/v1alpha1). Input: the objects, and
// lookups for the services they name. Output: what each service answers to clients outside of the mesh, findings, and why
// an object is refused at admission. It imports the api types, meshid and snapshot; no other policy kind.
package ingressbackend
