package meshid

// Workload is what a pod belongs to, as metrics name it: a Deployment, another controller, or the pod itself.
type Workload struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}
