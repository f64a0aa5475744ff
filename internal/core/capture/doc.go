// Package capture decides which TCP connections of a pod go through its sidecar, as data.
//
// Input: a Config (exclusions, inclusions, the sidecar's own ports in use) and the pod's addresses. Output: ordered rules
// for one IP family, which internal/redirect programs into the kernel, and Verdict, which evaluates the same rules for
// one connection so that their meaning can be tested without a kernel.
//
// It imports the standard library and core/names only.
package capture
