// Package crds keeps the mesh's custom resource definitions in a cluster and takes an installation's last objects out of
// it. Input: the definitions embedded in api/crds, a connection to the API server. Output: definitions created, overwritten
// and established; after an uninstallation, the objects deleted that no chart owns. It must not import any other part
// of the control plane than core/names and obs.
package crds
