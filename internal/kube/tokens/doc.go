// Package tokens finds out which pod presents a service-account token. Input: the token of a stream. Output: the pod and
// its identity, or a gRPC status: Unauthenticated when the token is not good, Unavailable when the API server could not be
// asked.
//
// A token is judged here, without a call, by the keys that the API server publishes, as long as its pod and its service
// account are known to exist as they were when it was made. Whatever is not certain here (a key, an issuer, a pod or an
// account that is not known, a time that is over by this machine's clock) the API server decides, by a TokenReview with the
// mesh's own audience. So a token that is refused by the API server is never taken here for longer than the watches lag
// behind, and the token of a deleted pod is reviewed, and refused, at once.
//
// Authenticator implements xds.Authenticator; nothing of a token is ever logged or stored, not even in part.
package tokens
