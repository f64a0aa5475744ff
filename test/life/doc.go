// Package life runs the life of a mesh on the local cluster: the previous version is installed, upgraded to this one under
// load, an upgrade fails and another is interrupted, the mesh goes back to the previous version, and is removed without a
// trace. The file `previous` names the commit that the previous version is built from. Needs root and the repository's
// history; run it by `make life`.
package life
