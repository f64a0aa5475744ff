// Package cli is the osm command: it installs, upgrades, inspects and removes meshes, and adds namespaces to them.
// Input: arguments, environment, the user's kubeconfig, the chart embedded in package charts. Output: text on standard
// output (results, in the words that users and scripts of OSM know), text on standard error (progress, causes, warnings)
// and an exit code, 0 or 1. It talks to clusters through Helm's and Kubernetes' own clients. It must not import the shells
// of the control plane (internal/app, internal/xds, internal/webhook, and of internal/kube all but manifests and convert, which
// only turn objects into values); nothing but cmd/osm and tests imports it.
package cli
