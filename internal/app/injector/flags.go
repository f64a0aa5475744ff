package injector

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/version"
)

// How sidecars run; chart value osm.sidecarMode.
const (
	ModeAuto    = "auto"
	ModeNative  = "native"
	ModeClassic = "classic"
)

// Environment variables with the chart's images.
const (
	EnvEnvoyImage        = names.EnvEnvoyImage
	EnvEnvoyWindowsImage = "OSM_DEFAULT_ENVOY_WINDOWS_IMAGE"
	EnvInitImage         = "OSM_DEFAULT_INIT_CONTAINER_IMAGE"
	EnvHealthcheckImage  = "OSM_DEFAULT_HEALTHCHECK_CONTAINER_IMAGE"
)

// Options are the program's flags and environment.
type Options struct {
	Verbosity         string
	MeshName          string
	OSMNamespace      string
	OSMConfigName     string
	OSMVersion        string
	Kubeconfig        string
	WebhookConfigName string
	WebhookTimeout    int32
	PullPolicy        string
	SidecarMode       string
	DualStack         bool
	EnableReconciler  bool
	Provider          certs.Provider
	Images            podpatch.Images
}

// Bind declares the flags.
func (o *Options) Bind(fs *pflag.FlagSet) {
	fs.StringVarP(&o.Verbosity, "verbosity", "v", "info", "log level until MeshConfig is read: disabled, panic, fatal, error, warn, info, debug or trace")
	fs.StringVar(&o.MeshName, "mesh-name", "", "name of the mesh")
	fs.StringVar(&o.OSMNamespace, "osm-namespace", "", "namespace of the control plane")
	fs.StringVar(&o.OSMConfigName, "osm-config-name", names.MeshConfig, "name of the MeshConfig")
	fs.StringVar(&o.OSMVersion, "osm-version", version.Version, "version of the mesh, for labels")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig file; without it, the pod's own account")
	fs.StringVar(&o.WebhookConfigName, "webhook-config-name", "", "name of the MutatingWebhookConfiguration")
	fs.Int32Var(&o.WebhookTimeout, "webhook-timeout", 20, "seconds the API server waits for this webhook, 1 to 30")
	fs.StringVar(&o.PullPolicy, "osm-container-pull-policy", string(corev1.PullIfNotPresent), "image pull policy of the init and health-check containers")
	fs.StringVar(&o.SidecarMode, "sidecar-mode", ModeAuto, "how sidecars run: native (Kubernetes 1.29 and newer on every node), classic, or auto to go by the API server's version")
	fs.BoolVar(&o.DualStack, "dual-stack", false, "let the sidecar's own listeners accept IPv6 as well as IPv4")
	fs.BoolVar(&o.EnableReconciler, "enable-reconciler", false, "put the webhook configuration back when somebody changes or deletes it")
	o.Provider.Bind(fs)
}

// FromEnv reads the images.
func (o *Options) FromEnv(env func(string) string) {
	o.Images = podpatch.Images{
		Envoy: env(EnvEnvoyImage), EnvoyWindows: env(EnvEnvoyWindowsImage), Init: env(EnvInitImage), Healthcheck: env(EnvHealthcheckImage),
	}
}

// Check names the first flag that cannot be used.
func (o *Options) Check() error {
	invalid := func(format string, args ...any) error {
		return errcode.Errorf(errcode.InvalidCLIArgument, format, args...)
	}
	for _, f := range []struct{ flag, value string }{
		{"--mesh-name", o.MeshName}, {"--osm-namespace", o.OSMNamespace}, {"--webhook-config-name", o.WebhookConfigName}, {"--osm-config-name", o.OSMConfigName},
	} {
		if f.value == "" {
			return invalid("%s is empty: give it a name", f.flag)
		}
	}
	if o.WebhookTimeout < 1 || o.WebhookTimeout > 30 {
		return invalid("--webhook-timeout %d (chart value osm.injector.webhookTimeoutSeconds): use 1 to 30", o.WebhookTimeout)
	}
	policies := []string{string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)}
	if !slices.Contains(policies, o.PullPolicy) {
		return invalid("--osm-container-pull-policy %q (chart value osm.image.pullPolicy): use one of %s", o.PullPolicy, strings.Join(policies, ", "))
	}
	modes := []string{ModeAuto, ModeNative, ModeClassic}
	if !slices.Contains(modes, o.SidecarMode) {
		return invalid("--sidecar-mode %q (chart value osm.sidecarMode): use one of %s", o.SidecarMode, strings.Join(modes, ", "))
	}
	for _, i := range []struct{ env, image string }{{EnvEnvoyImage, o.Images.Envoy}, {EnvInitImage, o.Images.Init}, {EnvHealthcheckImage, o.Images.Healthcheck}} {
		if i.image == "" {
			return invalid("the environment variable %s is empty: set it to the image the chart names", i.env)
		}
	}
	if err := o.Provider.Check(); err != nil {
		return fmt.Errorf("certificate provider: %w", err)
	}
	return nil
}
