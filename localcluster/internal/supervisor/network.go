package supervisor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// network sets up the node's side of the network namespace: loopback, a device
// with the node's address, routes and forwarding. There is no way out of it.
func network(ipv6 bool) error {
	settings := map[string]string{
		"net/ipv4/ip_forward":             "1",
		"net/ipv4/conf/all/rp_filter":     "0",
		"net/ipv4/conf/default/rp_filter": "0",
	}
	if ipv6 {
		settings["net/ipv6/conf/all/forwarding"] = "1"
		// Nobody else is here to have the same address; the check takes seconds.
		settings["net/ipv6/conf/all/accept_dad"] = "0"
		settings["net/ipv6/conf/default/accept_dad"] = "0"
	}
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("set %s in the cluster's network: %w", name, err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback device: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("start the loopback device: %w", err)
	}
	node, err := nodeDevice()
	if err != nil {
		return err
	}
	addresses := []string{cluster.NodeCIDR}
	if ipv6 {
		addresses = append(addresses, cluster.NodeCIDR6)
	}
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(node, addr); err != nil {
			return fmt.Errorf("give the node the address %s: %w", a, err)
		}
	}
	return routes(node, ipv6)
}

// nodeDevice makes a pair of connected devices, because that is the one kind of
// virtual device which pods need anyway; the far end stays unused.
func nodeDevice() (netlink.Link, error) {
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "node0-peer"}
	veth.Name = "node0"
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("the kernel makes no veth devices, which pods need: %w; load the module with `modprobe veth` or use a kernel with CONFIG_VETH", err)
	}
	for _, name := range []string{"node0", "node0-peer"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return nil, fmt.Errorf("find device %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return nil, fmt.Errorf("start device %s: %w", name, err)
		}
	}
	return netlink.LinkByName("node0")
}

// routes lets the node's own processes reach Services (the address is rewritten
// only after a route was found) and refuses everything else at once instead of
// letting it run into a timeout.
func routes(node netlink.Link, ipv6 bool) error {
	type family struct{ service, all string }
	families := []family{{cluster.ServiceCIDR, "0.0.0.0/0"}}
	if ipv6 {
		families = append(families, family{cluster.ServiceCIDR6, "::/0"})
	}
	for _, f := range families {
		_, service, err := net.ParseCIDR(f.service)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: node.Attrs().Index, Dst: service}); err != nil {
			return fmt.Errorf("add the route to %s: %w", service, err)
		}
		_, all, err := net.ParseCIDR(f.all)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{Type: unix.RTN_UNREACHABLE, Dst: all, Priority: 1 << 16}); err != nil {
			return fmt.Errorf("add the route that refuses %s: %w", all, err)
		}
	}
	return nil
}
