// Package smi is the parent of the Service Mesh Interface's kinds: access
// (TrafficTarget), specs (HTTPRouteGroup, TCPRoute) and split (TrafficSplit),
// in the groups and versions that Open Service Mesh serves.
//
// Input: nothing. Output: nothing; see the packages below.
package smi
