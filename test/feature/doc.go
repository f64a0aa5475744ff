// Package feature tests what arrives at a proxy, over real sockets: the delta server with a real delta client, with
// strangers, and with a real Envoy. Input: views made by the tests. Output: what clients hold. The tests that need an
// Envoy find it like every other test, see internal/testkit/envoycheck.
package feature
