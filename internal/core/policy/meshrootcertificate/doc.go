// Package meshrootcertificate judges MeshRootCertificate objects (config.openservicemesh.io/v1alpha2) by what they say. Input: the
// objects and the mesh. Output: errors of the webhook, and findings. It imports the api types, names and snapshot; no other
// policy kind. What stands behind an object, its Secret, internal/certs looks at.
package meshrootcertificate
