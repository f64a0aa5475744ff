// Package preflight checks what a cluster needs of the machine, before anything
// is changed, and installs missing programs on Debian and Ubuntu. Every
// complaint names what is missing and the cure.
//
// Input: the machine. Output: where the programs are, or an error.
// It must not import other packages of this module.
package preflight
