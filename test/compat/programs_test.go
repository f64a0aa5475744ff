package compat

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/app/bootstrap"
	"openservicemesh.io/osm/internal/app/controller"
	"openservicemesh.io/osm/internal/app/injector"
	"openservicemesh.io/osm/internal/app/preinstall"
	"openservicemesh.io/osm/internal/core/names"
)

// Every program takes the flags and the environment the chart gives it: a flag that only one side knows would show as a
// crash loop on a user's cluster.
func TestProgramsTakeTheChartsFlags(t *testing.T) {
	for name, o := range map[string]renderOpts{
		"default": {},
		"managed": {namespace: "arc-osm-system", values: managed(t)},
		"changed": {sets: []string{"osm.enableReconciler=true,osm.controllerLogLevel=trace,osm.sidecarMode=classic,osm.image.pullPolicy=",
			"osm.trustDomain=example.org,smi.validateTrafficTarget=false,osm.enforceSingleMesh=false,osm.injector.webhookTimeoutSeconds=30"}},
	} {
		t.Run(name, func(t *testing.T) {
			objs := objects(t, text(mustRender(t, o)))
			container := func(name string) corev1.Container {
				return as[appsv1.Deployment](t, find(t, objs, "Deployment", name)).Spec.Template.Spec.Containers[0]
			}

			var c controller.Options
			fs := pflag.NewFlagSet(names.Controller, pflag.ContinueOnError)
			c.Bind(fs)
			require.NoError(t, fs.Parse(container(names.Controller).Args))
			require.NoError(t, c.Check())

			var i injector.Options
			fs = pflag.NewFlagSet(names.Injector, pflag.ContinueOnError)
			i.Bind(fs)
			require.NoError(t, fs.Parse(container(names.Injector).Args))
			i.FromEnv(func(key string) string {
				for _, e := range container(names.Injector).Env {
					if e.Name == key {
						return e.Value
					}
				}
				return ""
			})
			require.NoError(t, i.Check())

			b, err := bootstrap.Parse(container(names.Bootstrap).Args)
			require.NoError(t, err)
			require.NoError(t, b.Certificates.Check())

			job := as[batchv1.Job](t, find(t, objs, "Job", "osm-preinstall"))
			_, err = preinstall.Parse(job.Spec.Template.Spec.Containers[0].Args)
			require.NoError(t, err)
		})
	}
}
