// Package convert turns single Kubernetes objects into the values a snapshot is made of, and keeps nothing else of
// them. Input: decoded API objects. Output: small values that can be compared with reflect.DeepEqual, so that an update
// which changes nothing that matters can be recognised. Every function is pure. It must not import client-go.
package convert
