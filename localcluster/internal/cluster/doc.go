// Package cluster knows one local cluster as data: its name, addresses, the
// place of every file, and the record of what runs. It is shared by the command
// line and by the supervisor.
//
// Input: a name and a folder. Output: paths, the record on disk, the lock.
// It starts nothing and must not import supervisor, component or kubeapi.
package cluster
