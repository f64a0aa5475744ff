// Package kubeapi has typed clients of exactly the Kubernetes kinds that the controller works with. Input: how to reach an
// API server. Output: Clients. The generated clientset would do the same but links the code of every kind Kubernetes has,
// 25 MB that stay resident for a program that should need 60; so nothing the controller links may import
// k8s.io/client-go/kubernetes. Clients from a clientset, for tests and for programs that link it anyway, are in the folder clientset.
package kubeapi
