// Package cgroup makes and removes the one control group per hierarchy below
// which a cluster keeps its pods, for cgroup v1, v2 and both side by side. It
// never mounts anything and touches no group but the named one.
//
// Input: a group name, the mount table. Output: folders under /sys/fs/cgroup.
// It must not import other packages of this module.
package cgroup
