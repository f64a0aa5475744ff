// Package explain answers "would this call succeed, and if not, why, and what would allow it?". Input: a view of the mesh (its
// snapshot, its compiled policies, the generated resources) and a question. Output: a Verdict. The verdict's end is read off
// the generated Envoy resources by core/sim; the reasons are read off the policies. It imports sim, plan, snapshot, names,
// the api types and meshid; no network, no clock.
package explain
