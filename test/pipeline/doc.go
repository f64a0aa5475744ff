// Package pipeline answers "is the generated configuration right?". Every folder of testdata is a case: in.yaml is the
// whole input, its leading comment says what it is about and which proxies and resource types to keep; findings.yaml and
// one file for each proxy and type are what the core makes of it (go test ./test/pipeline -update rewrites them);
// calls.yaml, written by hand, says how calls end. Every configuration of every case goes through a real Envoy. Input: the
// folders. Output: tests only.
package pipeline
