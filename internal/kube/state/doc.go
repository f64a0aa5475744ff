// Package state holds the converted objects of a cluster and builds snapshots from them. Input: objects put and deleted
// one by one, or whole lists replaced, in any order and from any goroutine. Output: snapshot.Parts whose unchanged
// pieces are the very pointers of the build before, and a snapshot.Changed that says what differs. Only objects of
// monitored namespaces get into the parts; the others are kept in converted form, because a namespace can join the
// mesh at any time. It must not import client-go, and it knows no clock.
package state
