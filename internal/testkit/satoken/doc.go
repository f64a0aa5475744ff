// Package satoken makes service-account tokens as an API server does, and publishes the keys as it does. Input: a signing
// key and what the token says. Output: the token, and the two documents that kube/tokens reads. It is for tests and benches.
package satoken
