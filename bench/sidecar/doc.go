// Command sidecar measures the memory of a sidecar that knows many services, without a cluster: a real Envoy with an
// injected sidecar's bootstrap and arguments is told by the real delta server what the pipeline makes of a mesh in
// permissive mode, in a network namespace of the process's own.
//
//	go run ./bench/sidecar [-services 10,100,1000] [-envoy bin/envoy] [-json FILE]
//
// Input: flags; root, for the network namespace. Output: a table of anonymous memory beside its bars, and what Envoy's
// /memory says. The mesh is that of bench/dataplane: a client, a server of four ports, and services of one port.
package main
