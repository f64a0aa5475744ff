// Command dataplane measures what the mesh costs per request on the local cluster, beside two others in the same run:
//
//   - none: fortio calls fortio, no sidecars;
//   - floor: the same pods with two hand-written Envoys (floor.go): mutual TLS with ECDSA keys, HTTP/2 between
//     them, the router filter alone, no access log, the same redirection, the same arguments of Envoy;
//   - mesh: the same pods injected, under access policies.
//
// The three take turns within every round (A B C C B A …), so that whatever else the machine does meets all of them, and every round has
// pods of its own: how their connections fall on Envoy's workers is decided when they start. A figure is the mean of the middle half of the
// rounds.
//
//	go run ./bench/dataplane [-rounds 10] [-duration 1500ms] [-only NAME] [-json FILE]
//
// Input: flags; the local cluster (`-cluster`, default osm-bench) is brought up and the mesh installed by the command itself.
// Output: a table of figures beside their bars. CPU comes from the pods' control groups, latencies from fortio.
package main
