package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/names"
)

// Kinds of installation, Config.Install.Kind.
const (
	// KindSelfHosted is a mesh that the user of the command installs and removes.
	KindSelfHosted = "self-hosted"
	// KindManaged is a mesh that somebody else operates: it is neither installed, upgraded nor removed by the command.
	KindManaged = "managed"
)

// Config is the command's configuration file, $OSM_CONFIG or ~/.osm/config.yaml. A missing file means the defaults.
type Config struct {
	Install InstallConfig `json:"install"`
}

// InstallConfig says how the mesh of this machine's user came to be.
type InstallConfig struct {
	Kind         string `json:"kind"`
	Distribution string `json:"distribution"`
	// Namespace is the default of --osm-namespace.
	Namespace string `json:"namespace"`
}

// Managed tells whether somebody else operates the control plane.
func (c Config) Managed() bool { return c.Install.Kind == KindManaged }

// YAML writes the configuration in the order of the documented example.
func (c Config) YAML() string {
	return fmt.Sprintf("install:\n  kind: %s\n  distribution: %q\n  namespace: %s\n",
		c.Install.Kind, c.Install.Distribution, c.Install.Namespace)
}

// loadConfig reads the file that getenv("OSM_CONFIG") names, or ~/.osm/config.yaml.
func loadConfig(getenv func(string) string) (Config, error) {
	cfg := Config{Install: InstallConfig{Kind: KindSelfHosted, Namespace: names.DefaultNamespace}}
	path := getenv("OSM_CONFIG")
	if path == "" {
		home := getenv("HOME")
		if home == "" {
			return cfg, nil
		}
		path = filepath.Join(home, ".osm", "config.yaml")
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, nil
	}
	if err != nil {
		return cfg, err
	}
	var read Config
	if err := yaml.Unmarshal(raw, &read); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, cfg.merge(path, read.Install)
}

// merge takes over what the file sets.
func (c *Config) merge(path string, read InstallConfig) error {
	switch read.Kind {
	case "":
	case KindSelfHosted, KindManaged:
		c.Install.Kind = read.Kind
	default:
		return fmt.Errorf("%s: install.kind is %q, must be %s or %s", path, read.Kind, KindSelfHosted, KindManaged)
	}
	c.Install.Distribution = read.Distribution
	if read.Namespace != "" {
		c.Install.Namespace = read.Namespace
	}
	return nil
}
