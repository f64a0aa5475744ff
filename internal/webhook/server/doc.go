// Package server is what the mesh's admission webhooks share: an HTTPS server that survives hostile input, and the
// handling of AdmissionReview messages around a ReviewFunc.
//
// Input: HTTP requests of anybody who can reach the port (the API server does not show who it is). Output: admission
// responses. A request that is too large, too slow, of the wrong kind or that makes a reviewer panic costs that request
// only. It must not import anything that knows what is being reviewed.
package server
