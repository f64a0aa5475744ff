// Package cluster brings up the local cluster for end-to-end tests and the demo, with every image of the project in it.
// Input: the repository's folder. Output: a Cluster: a kubeconfig that works from this machine, and a way to run a
// command where pods' addresses can be reached. For tests and the demo only.
package cluster
