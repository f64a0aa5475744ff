// Package injector is the program osm-injector: it wires the mutating webhook to a cluster, keeps its certificate and its
// webhook configuration current, and serves health, version and metrics.
//
// Input: flags, the environment, a cluster. Output: a running webhook until the context ends. Replicas share nothing but
// the cluster: each issues its own serving certificate from the mesh's root and agrees with the others on the
// configuration. It holds no logic of its own that could be tested without a cluster; that lives in the packages it wires.
package injector
