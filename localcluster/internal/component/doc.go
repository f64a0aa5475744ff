// Package component says, as data, how each process of the cluster is started:
// its arguments, its configuration files and the order.
//
// Input: the layout and the settings of one start. Output: argument lists and
// file contents, nothing else: it is pure, starts nothing and writes nothing.
// It must not import supervisor or kubeapi.
package component
