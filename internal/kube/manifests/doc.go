// Package manifests makes a snapshot from YAML, as if it had been applied to a cluster. Input: files, directories or a
// stream, with the objects users write: Namespaces, Services, Pods and what makes pods (Deployment, StatefulSet,
// DaemonSet, ReplicaSet, Job, CronJob), EndpointSlices, MeshConfig, policies. Output: one snapshot and the findings about
// it. What a cluster would add is added here: one pod per workload, addresses, endpoints of Services that have none. It is
// how the core runs offline, so it must not import client-go's clients and talks to nobody.
package manifests
