// Package pki makes the keys and certificates of a local cluster with
// crypto/x509: one authority that lives as long as the cluster, and leaf
// certificates issued anew whenever the cluster is started, so that none runs
// out under a cluster that is only rarely started.
//
// Input: a folder, names and addresses. Output: PEM files and kubeconfigs.
// It must not import other packages of this module.
package pki
