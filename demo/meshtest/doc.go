// Package meshtest is a box of small network programs in one binary, for
// looking at a mesh from inside a pod: servers that echo, clients that say in
// one word how a call ended, and a load generator that counts how it went.
//
// Input: command-line arguments, the first of which names the applet.
// Output: text or JSON on standard output, and an exit code (the exit codes
// of the clients are curl's, see Kind.ExitCode).
//
// It must not import any other package of the repository: it judges the mesh
// from outside.
package meshtest
