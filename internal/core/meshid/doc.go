// Package meshid holds the small comparable values that every other package speaks in: who a workload is, which
// service and port is meant, which protocol a port speaks. Input: strings of Kubernetes objects. Output: values that
// can be map keys. It imports the standard library only.
package meshid
