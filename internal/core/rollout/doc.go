// Package rollout follows what users write to the proxies: which objects every proxy has acknowledged, and which object a
// proxy's refusal is about. Input: the objects of each snapshot, acknowledged generations, and refusals with the objects
// that shaped what was refused. Output: the objects still waited for, and findings. It imports snapshot only.
package rollout
