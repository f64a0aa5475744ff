//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// lookup asks the cluster's DNS from the cluster's network.
func lookup(c *testCluster, host string) (string, error) {
	out, err := c.run("exec", "--", probe, "lookup", cluster.DNSIP, host+".")
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.Fields(out)[0], nil
}
