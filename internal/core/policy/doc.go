// Package policy is the table of every kind of object a user of the mesh writes. Informers, admission, RBAC, status,
// the CLI and the documentation loop over it, so one more kind is one more line here and one folder beside it. Input:
// nothing. Output: the table. It imports the api types, snapshot and the folders of the kinds.
package policy
