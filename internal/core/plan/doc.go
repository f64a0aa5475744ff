// Package plan turns one snapshot and the key of a proxy into that proxy's configuration. Input: snapshot.Snapshot and
// Key. Output: ir.Proxy, and the findings of the snapshot's policies. It knows Kubernetes policy but not Envoy: it
// imports snapshot, policy and ir, never envoy.
package plan
