package component

import (
	"fmt"
	"path/filepath"
	"strings"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// podPlugin connects a pod to the network.
const podPlugin = "localcluster-ptp"

// cniFiles are the configuration of the pods' network and the folder of plugins that containerd looks into.
func cniFiles(s Settings) []File {
	plugin := func(name, script string) File {
		return File{s.Layout.Path("cni", "bin", name), "#!/bin/sh\n" + script, 0o755}
	}
	return []File{
		{s.Layout.Path("cni", "10-localcluster.conflist"), cniConfig(s), configMode},
		plugin(podPlugin, podScript(s)),
		plugin("loopback", fmt.Sprintf("exec %q\n", filepath.Join(s.CNIBinDir, "loopback"))),
	}
}

// podScript runs the ptp plugin, which waits until the pod's IPv6 address is usable: one to two seconds in which the kernel asks
// whether somebody else has it. Nobody has, so a pod's network is told first not to ask.
func podScript(s Settings) string {
	noQuestion := ""
	if s.IPv6 {
		noQuestion = `if [ "$CNI_COMMAND" = ADD ]; then
  nsenter --net="$CNI_NETNS" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad' </dev/null >&2
fi
`
	}
	return fmt.Sprintf("%sexport CNI_PATH=%q\nexec %q\n", noQuestion, s.CNIBinDir, filepath.Join(s.CNIBinDir, "ptp"))
}

// cniConfig connects each pod by a routed pair of devices. A bridge would need
// the machine-wide br_netfilter module for Services to work between two pods of
// a node; a route does not.
func cniConfig(s Settings) string {
	ranges := []string{fmt.Sprintf(`[{"subnet":%q}]`, cluster.PodCIDR)}
	routes := []string{`{"dst":"0.0.0.0/0"}`}
	if s.IPv6 {
		ranges = append(ranges, fmt.Sprintf(`[{"subnet":%q}]`, cluster.PodCIDR6))
		routes = append(routes, `{"dst":"::/0"}`)
	}
	return fmt.Sprintf(`{"cniVersion":"0.4.0","name":"localcluster","plugins":[{"type":%q,"ipMasq":false,`+
		`"ipam":{"type":"host-local","dataDir":"/run/cni","ranges":[%s],"routes":[%s]}}]}
`, podPlugin, strings.Join(ranges, ","), strings.Join(routes, ","))
}
