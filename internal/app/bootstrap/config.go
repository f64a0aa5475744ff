package bootstrap

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/version"
)

// Config is osm-bootstrap's flags.
type Config struct {
	Verbosity, MeshName, Namespace, ConfigName, Version string
	HTTPPort                                            int
	Reconcile                                           bool
	Certificates                                        certs.Provider
}

// Parse reads the command line, without the program's name. pflag.ErrHelp means that help was asked for and printed.
// The Config is what could be read even when there is an error, so that it can be reported in the right namespace.
func Parse(args []string) (Config, error) {
	var c Config
	fs := pflag.NewFlagSet(names.Bootstrap, pflag.ContinueOnError)
	fs.StringVarP(&c.Verbosity, "verbosity", "v", "info", "log level: disabled, panic, fatal, error, warn, info, debug or trace")
	fs.StringVar(&c.MeshName, "mesh-name", "", "name of the mesh")
	fs.StringVar(&c.Namespace, "osm-namespace", "", "namespace of the control plane")
	fs.StringVar(&c.ConfigName, "osm-config-name", names.MeshConfig, "name of the MeshConfig")
	fs.StringVar(&c.Version, "osm-version", version.Version, "version of the mesh, the value of the reconcile label")
	fs.IntVar(&c.HTTPPort, "http-port", names.PortControllerHTTP, "port of /healthz, /metrics and /version")
	fs.BoolVar(&c.Reconcile, "enable-reconciler", false, "restore custom resource definitions that are edited or deleted")
	c.Certificates.Bind(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return c, err
		}
		return c, errcode.Errorf(errcode.InvalidCLIArgument, "%w", err)
	}
	return c, c.check(fs.Args())
}

func (c Config) check(rest []string) error {
	bad := func(format string, args ...any) error {
		return errcode.Errorf(errcode.InvalidCLIArgument, format, args...)
	}
	switch {
	case len(rest) > 0:
		return bad("unexpected argument %q", rest[0])
	case c.MeshName == "":
		return bad("--mesh-name is empty: name the mesh")
	case c.Namespace == "":
		return bad("--osm-namespace is empty: name the namespace of the control plane")
	case c.ConfigName == "":
		return bad("--osm-config-name is empty: name the MeshConfig, by default %s", names.MeshConfig)
	case c.HTTPPort < 1 || c.HTTPPort > 65535:
		return bad("--http-port %d is not a port: want 1 to 65535", c.HTTPPort)
	}
	return nil
}

func (c Config) addr() string { return fmt.Sprintf(":%d", c.HTTPPort) }
