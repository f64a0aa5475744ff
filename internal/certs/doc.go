// Package certs owns the mesh's root and signs with it. Input: the Secret osm-ca-bundle (made when it is missing, watched
// afterwards), identities and server names, the wall clock, random numbers. Output: SDS secrets for workloads, self-renewing
// server certificates for the control plane, the trust bundle, and a signal when trust changed. What a certificate says
// is decided in internal/core/pki, who signs behind signer.Provider.
//
// A workload's private key exists in the returned resource and nowhere else: it is never stored, cached, logged or shared
// between pods. Only the Authority writes to Kubernetes, and only to create the root's Secret.
//
// It must not import internal/xds, internal/webhook, internal/kube or any policy package.
package certs
