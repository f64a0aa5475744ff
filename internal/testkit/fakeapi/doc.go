// Package fakeapi is an API server for tests of commands: real HTTP, real kubeconfig, discovery, lists with selectors, patches,
// watches, logs, the pod proxy and port-forwarding, over objects in memory that nobody reconciles. Workloads are ready and jobs
// are done as soon as they are created. Input: objects as YAML, and what pods answer. Output: a URL, a kubeconfig and the list
// of requests that changed something. It has no schema, no defaults, no validation and no rights: a test that needs those needs
// a real cluster.
package fakeapi
