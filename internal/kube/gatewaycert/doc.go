// Package gatewaycert keeps the Secret that holds an ingress controller's client certificate, as MeshConfig's
// spec.certificate.ingressGateway asks for. Input: what is asked for, and an authority that signs. Output: a Secret of type
// kubernetes.io/tls that is made, renewed and deleted; only the leader among replicas runs this. It imports core, the
// Kubernetes types and clients; not certs, whose part it declares.
package gatewaycert
