// Package egress compiles Egress objects (policy.openservicemesh.io/v1alpha1). Input: the objects, and lookups for what
// they refer to. Output: what each identity may reach outside of the mesh, findings, and why an object is refused at
// admission. It imports the api types, meshid, snapshot and ir; no other policy kind.
package egress
