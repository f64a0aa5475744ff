// Package xds tells proxies their configuration over the delta variant of Envoy's aggregated discovery service.
//
// Input: a View (one generation of encoded resources), an Authenticator (who is calling) and Certificates (the
// workload certificate of one proxy). Output: DeltaDiscoveryResponses, and what came of them: which generation each
// proxy has acknowledged and which resources it refused.
//
//   - session.go, lane.go, deliver.go: the protocol of one stream as a state machine without gRPC, clock or goroutine;
//   - holdings.go: what it remembers of names; nameset.go: names that are due;
//   - conn.go: one gRPC stream around one session; gate.go: how many do what takes memory at one time;
//   - hub.go: all streams, and whom a new View concerns;
//   - codec.go: responses on the wire, without copying what many proxies share; request.go: requests, without what nobody reads;
//   - server.go: the listener's limits: TLS, authentication before anything is read, one RPC and no other.
//
// It must not import Kubernetes clients, the planner's input (core/snapshot) or the issuers of certificates: it sees
// those only through the interfaces it declares.
package xds
