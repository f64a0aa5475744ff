// Package process identifies processes beyond doubt. A process id alone is
// reused by the kernel; together with the start time and the boot it names one
// process for ever. Nothing in this module signals a process that was not
// identified this way.
//
// Input: /proc. Output: identities and the question "does it still run?".
// It must not import other packages of this module.
package process
