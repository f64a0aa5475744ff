// Package healthcheck is the helper that answers rewritten TCP probes inside an injected pod.
//
// Input: GET /osm-healthcheck with the application's port in the header Original-Tcp-Port. Output: 200 when something
// accepts on that port, 404 when nothing does, 400 when the header is no port. It dials only the ports it was started
// for, so nobody can use it to look around in the pod. It must not import anything of Kubernetes.
package healthcheck
