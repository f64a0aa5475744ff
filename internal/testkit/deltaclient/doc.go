// Package deltaclient is a delta-xDS client for tests: it behaves like a sidecar (subscribes clusters and listeners,
// then the endpoints, secrets and routes they name, acknowledges, reconnects with what it holds) and can be told to
// refuse resources or to read slowly.
//
// Model is the client without a network, for state-machine tests; Client is Model over gRPC. Input: responses. Output:
// requests, and what the client holds. It must not import the server under test.
package deltaclient
