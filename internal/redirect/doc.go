// Package redirect programs the rules of internal/core/capture into the kernel's nftables over netlink, in the network
// namespace of the calling thread.
//
// Input: a capture.Config and the pod's addresses. Output: one table "osm" for each IP family with a chain on prerouting
// and one on output, replaced as a whole in one transaction, so that running it again changes nothing and nobody ever
// sees half of it. It runs no other program. It needs CAP_NET_ADMIN and no other right.
//
// It must not import anything of Kubernetes or Envoy.
package redirect
