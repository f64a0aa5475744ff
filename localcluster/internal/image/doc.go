// Package image writes a container image that holds one static program as a
// tar that `ctr images import` takes (the layout of `docker save`).
//
// Input: the program's path. Output: the tar.
// It must not import other packages of this module. It is written with
// archive/tar, not with a library, because this module's dependencies must be
// exactly those of Kubernetes.
package image
