//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// resolverScript gives one command a resolv.conf that names the cluster's DNS,
// in a mount namespace of the command's own.
const resolverScript = `echo nameserver ` + cluster.DNSIP + ` > "$1" && mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && exec "$2" lookup "$3"`

// lookup asks the cluster's DNS from the cluster's network.
func lookup(c *testCluster, host string) (string, error) {
	file := c.l.Path("run", "test-resolv.conf")
	out, err := c.run("exec", "--", "unshare", "--mount", "sh", "-c", resolverScript, "sh", file, probe, host)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.Fields(out)[0], nil
}
