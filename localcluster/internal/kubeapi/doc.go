// Package kubeapi is the little that `up` and `status` need of the Kubernetes
// API, over plain HTTP: apply an object, read the state of node and DNS. It
// takes the place of client-go to keep this program quick to build.
//
// Input: a kubeconfig's files. Output: answers of the API server.
// It must not import supervisor or component.
package kubeapi
