// Package obs is how the control plane is observed: JSON logs with the original's field names and a level that changes
// live, the metrics of /metrics, the health and version pages, and Kubernetes events for failures at start. Input: records,
// counts, checks. Output: bytes on standard output and HTTP, Event objects. Error codes are in errcode. It must not
// import internal/core, internal/xds, internal/kube or any other part of the control plane except internal/version.
package obs
