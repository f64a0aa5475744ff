// Package tokens finds out which pod presents a service-account token. Input: the token of a stream. Output: the pod and
// its identity, as the API server vouches for them (TokenReview with the mesh's own audience), or a gRPC status:
// Unauthenticated when the token is not good, Unavailable when the API server could not be asked. It implements
// xds.Authenticator; nothing of a token is ever logged or stored, not even in part.
package tokens
