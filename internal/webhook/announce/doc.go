// Package announce keeps a webhook configuration in the cluster: what the API server is told about a webhook.
//
// The configuration is shared by all replicas, and for a while by those of two versions. It carries the version that wrote it,
// and a replica of another version writes only when it is the one that stays (rollout.Replica).
package announce
