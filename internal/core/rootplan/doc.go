// Package rootplan decides which of a mesh's roots signs and which are trusted, and how one takes over from another without a
// refused handshake. Input: the MeshRootCertificates with the roots behind them and their statuses, which hold all that replicas
// have to agree on; for the one replica that leads also the clock and who has to acknowledge. Output: for every replica a Choice,
// for the leader the statuses to write. It imports the api types only; internal/certs reads the roots and signs.
package rootplan
