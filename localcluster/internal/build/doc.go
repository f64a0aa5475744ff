// Package build compiles the programs that run inside the cluster (localkube
// and pause) and keeps them by the hash of all that goes into them, so that the
// ten minutes of compiling Kubernetes are spent once per version.
//
// Input: the source folder of this module, a Go toolchain. Output: a folder
// with the binaries. It must not import other packages of this module.
package build
