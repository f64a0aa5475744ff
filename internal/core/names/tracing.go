package names

// Where spans go unless MeshConfig says otherwise: to the Service jaeger in the control plane's namespace.
const (
	DefaultTracingService = "jaeger"
	DefaultTracingPort    = 9411
	DefaultTracingPath    = "/api/v2/spans"
)
