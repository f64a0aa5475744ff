// Package preinstall is osm-preinstall: it looks, before the chart's first object is made, whether this installation can
// stand beside what the cluster holds. Input: the Deployments named app=osm-controller in all namespaces. Output: nothing,
// or an error with every reason why not. It changes nothing. It must not import any other part of the control plane than
// core/names, obs and the client set-up of app/crds.
package preinstall
