// Package tresor signs with a root whose key stands in the CA Secret, in the control plane's namespace. Input: the Secret's
// data, templates, random numbers. Output: roots that sign, and the Secret's data for a new root.
package tresor
