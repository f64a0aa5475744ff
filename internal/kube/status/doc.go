// Package status tells users, on their own objects, what the control plane makes of them. Input: reports (which objects
// a snapshot holds and the findings about them). Output: the conditions Accepted and Programmed in the objects' status, the
// one-word status of the kinds that have always had one, and an Event whenever the verdict changes. Of several replicas
// one writes, by a Lease; what the proxies of another refuse, that one says itself. It must not import packages that generate configuration.
package status
