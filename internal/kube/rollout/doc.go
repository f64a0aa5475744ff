// Package rollout tells whether a process of the control plane is of the version that its Deployment is to run.
//
// While a mesh is upgraded, or taken back, pods of two versions run at once. What they share in the cluster, custom resource
// definitions and webhook configurations, is written by the one that is to stay; the Deployment, which Helm writes first of
// all, says which. The order of versions does not: on the way back it is the older one.
package rollout
