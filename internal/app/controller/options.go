package controller

import (
	"fmt"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/version"
)

// Options are the program's flags.
type Options struct {
	Verbosity              string
	MeshName               string
	OSMNamespace           string
	OSMConfigName          string
	OSMVersion             string
	OSMServiceAccount      string
	ValidatorWebhookConfig string
	ValidateTrafficTarget  bool
	EnableReconciler       bool
	Provider               certs.Provider
}

// Bind declares the flags.
func (o *Options) Bind(fs *pflag.FlagSet) {
	fs.StringVarP(&o.Verbosity, "verbosity", "v", "info", "log level until MeshConfig is read: disabled, panic, fatal, error, warn, info, debug or trace")
	fs.StringVar(&o.MeshName, "mesh-name", "", "name of the mesh")
	fs.StringVar(&o.OSMNamespace, "osm-namespace", "", "namespace of the control plane")
	fs.StringVar(&o.OSMConfigName, "osm-config-name", names.MeshConfig, "name of the MeshConfig")
	fs.StringVar(&o.OSMVersion, "osm-version", version.Version, "version of the mesh, for labels")
	fs.StringVar(&o.OSMServiceAccount, "osm-service-account", "", "service account of the control plane")
	fs.StringVar(&o.ValidatorWebhookConfig, "validator-webhook-config", "", "name of the ValidatingWebhookConfiguration")
	fs.BoolVar(&o.ValidateTrafficTarget, "validate-traffic-target", true, "let the validating webhook judge TrafficTargets")
	fs.BoolVar(&o.EnableReconciler, "enable-reconciler", false, "put the webhook configuration back when somebody changes or deletes it")
	o.Provider.Bind(fs)
}

// Check names the first flag that cannot be used.
func (o *Options) Check() error {
	for _, f := range []struct{ flag, value string }{
		{"--mesh-name", o.MeshName}, {"--osm-namespace", o.OSMNamespace},
		{"--validator-webhook-config", o.ValidatorWebhookConfig}, {"--osm-config-name", o.OSMConfigName},
	} {
		if f.value == "" {
			return errcode.Errorf(errcode.InvalidCLIArgument, "%s is empty: give it a name", f.flag)
		}
	}
	if err := o.Provider.Check(); err != nil {
		return fmt.Errorf("certificate provider: %w", err)
	}
	return nil
}
