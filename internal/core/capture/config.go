package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/names"
)

// EnvConfig is the environment variable of the init container that carries a Config as JSON.
const EnvConfig = "OSM_REDIRECT"

// maxInterfaceName is IFNAMSIZ without its terminating zero.
const maxInterfaceName = 15

// Config says what is redirected. The zero value redirects every connection but the pod's talk with itself.
type Config struct {
	// OutboundPorts bypass the sidecar on the way out.
	OutboundPorts []uint16 `json:"outboundPorts,omitempty"`
	// InboundPorts bypass the sidecar on the way in, by the user's wish.
	InboundPorts []uint16 `json:"inboundPorts,omitempty"`
	// SidecarPorts are the sidecar's (and its helper's) own listeners in use; see Rules.Guarded.
	SidecarPorts []uint16 `json:"sidecarPorts,omitempty"`
	// OutboundRanges bypass the sidecar.
	OutboundRanges []netip.Prefix `json:"outboundRanges,omitempty"`
	// OutboundRangesOnly, when not empty, are the only destinations that go through the sidecar.
	OutboundRangesOnly []netip.Prefix `json:"outboundRangesOnly,omitempty"`
	// Interfaces bypass the sidecar in both directions; a trailing "+" stands for any rest of the name.
	Interfaces []string `json:"interfaces,omitempty"`
	// PodIPMode hands what the sidecar sends to the loopback to the pod's own address instead.
	PodIPMode bool `json:"podIPMode,omitempty"`
}

// Parse reads the JSON of EnvConfig. Unknown fields and bad values are errors that name them.
func Parse(js string) (Config, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader([]byte(js)))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", EnvConfig, err)
	}
	if d.More() {
		return Config{}, fmt.Errorf("%s: more than one JSON value", EnvConfig)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", EnvConfig, err)
	}
	return c, nil
}

// Validate names the first field and value that cannot be programmed.
func (c Config) Validate() error {
	for _, l := range []struct {
		name  string
		ports []uint16
	}{{"outboundPorts", c.OutboundPorts}, {"inboundPorts", c.InboundPorts}, {"sidecarPorts", c.SidecarPorts}} {
		if slices.Contains(l.ports, 0) {
			return fmt.Errorf("%s: port 0 is not a port, use 1 to 65535", l.name)
		}
	}
	for _, l := range []struct {
		name   string
		ranges []netip.Prefix
	}{{"outboundRanges", c.OutboundRanges}, {"outboundRangesOnly", c.OutboundRangesOnly}} {
		for _, p := range l.ranges {
			if !p.IsValid() {
				return fmt.Errorf("%s: an empty range, use CIDR notation such as 10.0.0.0/8", l.name)
			}
		}
	}
	for _, i := range c.Interfaces {
		name := strings.TrimSuffix(i, "+")
		if i == "" || i == "+" || len(name) > maxInterfaceName || strings.ContainsAny(name, "/ \t\n+") || name == "." || name == ".." {
			return fmt.Errorf("interfaces: %q is not the name of a network interface", i)
		}
	}
	return nil
}

// Where the sidecar listens for redirected connections.
const (
	inboundListener  = names.PortInbound
	outboundListener = names.PortOutbound
)
