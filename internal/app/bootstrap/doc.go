// Package bootstrap is osm-bootstrap: the first part of the control plane to run. Input: the flags, the definitions embedded
// in api/crds, the ConfigMaps preset-mesh-config and preset-mesh-root-certificate. Output: custom resource definitions
// served by the API server, MeshConfig osm-mesh-config where there was none, and /healthz, /metrics and /version on the HTTP
// port; /healthz is well only when all that is done, and osm-controller and osm-injector wait for it.
//
// The Service's port 9443, crdconversion, is a name the original left behind: no definition is converted by webhook, and
// nothing listens there.
//
// It must not import internal/xds, internal/kube, internal/webhook or any policy package.
package bootstrap
