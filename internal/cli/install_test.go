package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/kube"
	rcommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/version"
)

func TestInstall(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, "OSM installed successfully in namespace [arc-osm-system] with mesh name [my-mesh]\n",
		w.succeeds("install", "--osm-namespace", "arc-osm-system", "--mesh-name", "my-mesh",
			"--set=osm.enableEgress=false,osm.meshName=loses", "--set", "osm.enforceSingleMesh=false", "--enforce-single-mesh=true"))
	rel := w.release("my-mesh", "arc-osm-system")
	require.Equal(t, rcommon.StatusDeployed, rel.Info.Status)
	require.Equal(t, map[string]any{"osm": map[string]any{"enableEgress": false, "meshName": "my-mesh", "enforceSingleMesh": true}}, rel.Config)
	require.Contains(t, rel.Manifest, "name: my-mesh")
	require.Contains(t, w.helmKube.RecordedWaitStrategies, kube.StatusWatcherStrategy)
}

// osm install asks what the chart's job before an installation asks, and runs no hook; so no other may be there. A chart of the user's
// has its hooks run.
func TestInstallRunsNoJob(t *testing.T) {
	ran := func(rel *release.Release) (before []string, ran bool) {
		for _, h := range rel.Hooks {
			if slices.Contains(h.Events, release.HookPreInstall) || slices.Contains(h.Events, release.HookPostInstall) {
				before = append(before, h.Path)
				ran = ran || !h.LastRun.StartedAt.IsZero()
			}
		}
		slices.Sort(before)
		return slices.Compact(before), ran
	}
	w := newWorld(t)
	w.succeeds("install")
	hooks, some := ran(w.release("osm", "osm-system"))
	require.Equal(t, []string{"osm/templates/preinstall-hook.yaml"}, hooks)
	require.False(t, some)

	w = newWorld(t)
	w.succeeds("install", "--osm-chart-path", filepath.Join("..", "..", "charts", "osm"))
	_, some = ran(w.release("osm", "osm-system"))
	require.True(t, some)
}

func TestInstallManagedPreset(t *testing.T) {
	preset := filepath.Join("..", "..", "charts", "osm", "values-managed.yaml")
	w := newWorld(t)
	require.Equal(t, "OSM installed successfully in namespace [arc-osm-system] with mesh name [osm]\n", w.succeeds("install", "--values", preset))
	require.Contains(t, w.release("osm", "arc-osm-system").Manifest, "--http-port=9095")
	require.Contains(t, newWorld(t).fails("install", "--values", preset, "--osm-namespace", "elsewhere"),
		`osm.osmNamespace is "arc-osm-system" and --osm-namespace is "elsewhere"`)
}

// Whatever is wrong with an installation is told before anything changes, in the documented words.
func TestInstallRefusals(t *testing.T) {
	cases := map[string]struct {
		world func(t *testing.T) *world
		args  []string
		want  []string
	}{
		"unknown chart key": {
			args: []string{"--set", "osm.enableEgres=false"},
			want: []string{"at '/osm': additional properties 'enableEgres' not allowed"},
		},
		"bad value": {
			args: []string{"--set", "osm.controllerLogLevel=loud"},
			want: []string{"at '/osm/controllerLogLevel': value must be one of"},
		},
		"bad --set": {
			args: []string{"--set", "osm.enableEgress"},
			want: []string{`Error: invalid format for --set: key "enableEgress" has no value`},
		},
		"osm no map": {
			args: []string{"--set", "osm=3"},
			want: []string{"Error: invalid format for --set: osm must hold settings, got 3"},
		},
		"no chart": {
			args: []string{"--osm-chart-path", "/nonexistent"},
			want: []string{"Error: error loading chart for installation: stat /nonexistent"},
		},
		"contour": {
			args: []string{"--set", "contour.enabled=true"},
			want: []string{"contour.enabled=true: this chart does not bundle Contour"},
		},
		"cluster out of reach": {
			world: func(t *testing.T) *world {
				w := newWorld(t)
				w.reach = errors.New("dial tcp: connection refused")
				return w
			},
			want: []string{"Error: Could not access Kubernetes cluster, check kubeconfig: dial tcp: connection refused"},
		},
		"second installation": {
			world: func(t *testing.T) *world {
				w := newWorld(t, exclusive(controller("osm", "osm-system")))
				w.installed("osm", "osm-system", rcommon.StatusDeployed, nil)
				return w
			},
			want: []string{"Error: cannot re-use a name that is still in use: mesh [osm] is already installed in namespace [osm-system] (release status: deployed)"},
		},
		"exclusive mesh elsewhere": {
			world: func(t *testing.T) *world { return newWorld(t, exclusive(controller("other", "other-system"))) },
			args:  []string{"--enforce-single-mesh=false"},
			want:  []string{"Error: Mesh(es) namespace: other-system, name: other already enforce it is the only mesh in the cluster, cannot install new meshes\n"},
		},
		"this one would be exclusive": {
			world: func(t *testing.T) *world { return newWorld(t, controller("other", "other-system")) },
			want:  []string{"Error: Mesh(es) namespace: other-system, name: other already exist so a new mesh enforcing it is the only one cannot be installed; set osm.enforceSingleMesh=false to install one beside them\n"},
		},
		"namespace taken": {
			world: func(t *testing.T) *world { return newWorld(t, controller("other", "osm-system")) },
			args:  []string{"--enforce-single-mesh=false"},
			want:  []string{"Error: Namespace osm-system already contains mesh other; upgrade or uninstall it, or choose another namespace\n"},
		},
		"missing rights": {
			world: func(t *testing.T) *world {
				w := newWorld(t)
				w.allow(func(r *authv1.ResourceAttributes) bool {
					return r.Resource != "clusterroles" && r.Resource != "namespaces" && r.Resource != "jobs"
				})
				return w
			},
			want: []string{"Error: missing rights, nothing was changed: the user of this kubeconfig cannot create " +
				"clusterroles.rbac.authorization.k8s.io, jobs.batch in namespace osm-system, namespaces; "},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.world != nil {
				w = c.world(t)
			}
			before := w.release("osm", "osm-system")
			stderr := w.fails(append([]string{"install"}, c.args...)...)
			for _, want := range c.want {
				require.Contains(t, stderr, want)
			}
			require.Empty(t, w.writes(), "nothing changed")
			require.Equal(t, before, w.release("osm", "osm-system"), "no release made")
			require.Empty(t, w.out.String())
		})
	}
}

// A first try that failed before it made a control plane does not stand in the way of the second.
func TestInstallAfterFailure(t *testing.T) {
	w := newWorld(t)
	w.installed("osm", "osm-system", rcommon.StatusFailed, nil)
	w.succeeds("install")
	rel := w.release("osm", "osm-system")
	require.Equal(t, rcommon.StatusDeployed, rel.Info.Status)
	require.Equal(t, 2, rel.Version)

	w = newWorld(t, controller("osm", "osm-system"))
	w.installed("osm", "osm-system", rcommon.StatusFailed, nil)
	require.Contains(t, w.fails("install"), "cannot re-use a name that is still in use")
}

func TestInstallTimeoutExplains(t *testing.T) {
	ready := controllerPod("osm-system")
	ready.Name = "osm-bootstrap-1"
	ready.Labels = map[string]string{names.LabelApp: names.Bootstrap}
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	w := newWorld(t, brokenPod("osm-controller-1", names.Controller), ready, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e1", Namespace: "osm-system"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "osm-controller-1"},
		Type:           corev1.EventTypeWarning, Reason: "Unhealthy", Message: "Liveness probe failed",
		LastTimestamp: metav1.NewTime(time.Now().Add(time.Hour)),
	}, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e3", Namespace: "osm-system"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "osm-controller-1"},
		Type:           corev1.EventTypeWarning, Reason: "BackOff", Message: "said already",
		LastTimestamp: metav1.NewTime(time.Now().Add(time.Hour)),
	}, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e2", Namespace: "osm-system"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "osm-controller-1"},
		Type:           corev1.EventTypeWarning, Reason: "Ancient", Message: "of an earlier installation",
		LastTimestamp: metav1.NewTime(time.Now().Add(-time.Hour)),
	})
	w.failWait(context.DeadlineExceeded)
	w.helmKube.WaitDuration = 50 * time.Millisecond
	stderr := w.fails("install", "--timeout", "90s")
	require.Contains(t, stderr, "osm-bootstrap-1: ready\nosm-controller-1: waiting, CrashLoopBackOff\n", "progress")
	require.Contains(t, stderr, `Pod osm-controller-1 in namespace osm-system is not ready: waiting, CrashLoopBackOff
  container osm-controller (image osm-controller:v1) waits: CrashLoopBackOff: back-off 10s
  container osm-controller stopped with exit code 2 (Error)
    no certificate
  Unhealthy: Liveness probe failed
Error: the control plane was not ready within 1m30s (--timeout): context deadline exceeded
`)
	require.NotContains(t, stderr, "Ancient")
	require.NotContains(t, stderr, "said already")
	require.NotContains(t, stderr, "Pod osm-bootstrap-1")
	require.NotContains(t, w.out.String(), "Status for pod")
}

func TestInstallVerbose(t *testing.T) {
	w := newWorld(t, brokenPod("osm-controller-1", names.Controller))
	w.failWait(errors.New("broken"))
	w.helmKube.WaitDuration = 50 * time.Millisecond
	require.Contains(t, w.fails("install", "--verbose"), "[debug] installing chart osm ")
	require.Contains(t, w.out.String(), "Status for pod osm-controller-1 in namespace osm-system:\n ")
}

func TestTimeoutZeroIsNoLimit(t *testing.T) {
	require.Equal(t, time.Minute, helmTimeout(time.Minute))
	require.Greater(t, helmTimeout(0), 100*365*24*time.Hour)
}

// brokenPod is a pod whose container crashes.
func brokenPod(name, app string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "osm-system", Labels: map[string]string{names.LabelApp: app}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: app, Image: app + ":v1",
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "no certificate\n"}},
		}}},
	}
}

func TestUpgrade(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"))
	w.installed("osm", "osm-system", rcommon.StatusDeployed, map[string]any{
		"osm": map[string]any{"meshName": "osm", "enableEgress": false, "image": map[string]any{"registry": "example.com", "tag": "dev"}},
	})
	require.Equal(t, "OSM successfully upgraded mesh [osm] in namespace [osm-system]\n", w.succeeds("mesh", "upgrade", "--set", "osm.enableReconciler=true"))
	require.Equal(t, map[string]any{"osm": map[string]any{"meshName": "osm", "enableEgress": false, "enableReconciler": true,
		"image": map[string]any{"registry": "example.com", "tag": "dev"}}}, w.release("osm", "osm-system").Config, "values are kept")
}

// An image tag belongs to a version: carried over to the next one it would undo the upgrade.
func TestUpgradeToAnotherVersion(t *testing.T) {
	older := func(t *testing.T) *world {
		w := newWorld(t, controller("osm", "osm-system"))
		w.installed("osm", "osm-system", rcommon.StatusDeployed, map[string]any{
			"osm": map[string]any{"image": map[string]any{"registry": "example.com", "tag": "v1.2.4"}},
		})
		w.release("osm", "osm-system").Chart.Metadata.AppVersion = "v1.2.4"
		return w
	}
	image := func(w *world) any { return w.release("osm", "osm-system").Config["osm"].(map[string]any)["image"] }

	w := older(t)
	w.succeeds("mesh", "upgrade")
	require.Equal(t, map[string]any{"registry": "example.com"}, image(w))
	require.Contains(t, w.err.String(), "osm.image.tag belonged to version v1.2.4 and is not kept; give it with --set to keep it\n")

	w = older(t)
	w.succeeds("mesh", "upgrade", "--set", "osm.image.tag=mine")
	require.Equal(t, map[string]any{"registry": "example.com", "tag": "mine"}, image(w))
	require.NotContains(t, w.err.String(), "not kept")
}

func TestUpgradeRefusals(t *testing.T) {
	w := newWorld(t)
	require.Contains(t, w.fails("mesh", "upgrade", "--mesh-name", "none"),
		`Error: mesh [none] is not installed in namespace [osm-system]: "none" has no deployed releases; name it with --mesh-name and --osm-namespace`)
	require.Contains(t, w.fails("mesh", "upgrade", "--osm-chart-path", "/nonexistent"), "Error: error loading chart for upgrade: ")
	w.installed("osm", "osm-system", rcommon.StatusDeployed, nil)
	require.Contains(t, w.fails("mesh", "upgrade", "--set", "osm.nope=1"), "additional properties 'nope' not allowed")
	require.Equal(t, 1, w.release("osm", "osm-system").Version)
}

// A failed upgrade goes back to the newest revision that was completed, and says so.
func TestUpgradeRollsBack(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"))
	w.installed("osm", "osm-system", rcommon.StatusDeployed, map[string]any{"osm": map[string]any{"enableEgress": false}})
	w.helmKube.UpdateError = errors.New("quota exceeded")
	stderr := w.fails("mesh", "upgrade", "--set", "osm.enableEgress=true")
	require.Contains(t, stderr, "Error: the upgrade of mesh [osm] failed and could not be rolled back to revision 1: quota exceeded; "+
		"sidecars keep what they have meanwhile; when the cause is mended, \"osm mesh upgrade\" completes the upgrade and "+
		"\"helm rollback osm 1 -n osm-system\" goes back; the upgrade failed with: quota exceeded\n")

	w.helmKube.UpdateError = nil
	w.helmKube.WaitError = errors.New("image cannot be pulled")
	w.failingWaits = 1
	stderr = w.fails("mesh", "upgrade", "--set", "osm.enableEgress=true")
	require.Contains(t, stderr, "\nError: the upgrade failed and was rolled back: mesh [osm] in namespace [osm-system] is back at revision 1 "+
		"(version "+version.Version+"); mend the cause and run \"osm mesh upgrade\" again: image cannot be pulled\n")
	rel := w.release("osm", "osm-system")
	require.Equal(t, rcommon.StatusDeployed, rel.Info.Status)
	require.Equal(t, false, rel.Config["osm"].(map[string]any)["enableEgress"], "the values of the failed upgrade are not kept")
}

// An upgrade that was killed half-way is told from one that is going on by the user alone.
func TestUpgradeTakesOver(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"))
	w.installed("osm", "osm-system", rcommon.StatusPendingUpgrade, nil)
	stderr := w.fails("mesh", "upgrade")
	require.Contains(t, stderr, "Error: mesh [osm] in namespace [osm-system] is being changed since ")
	require.Contains(t, stderr, "(release status: pending-upgrade): wait until that is done; if it was killed half-way, --take-over goes on from there\n")
	require.Equal(t, rcommon.StatusPendingUpgrade, w.release("osm", "osm-system").Info.Status)
	w.succeeds("mesh", "upgrade", "--take-over")
	require.Equal(t, rcommon.StatusDeployed, w.release("osm", "osm-system").Info.Status)
}

func TestValuesFilesLayer(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.yaml"), filepath.Join(dir, "2.yaml")
	require.NoError(t, os.WriteFile(first, []byte("osm: {enableEgress: false, envoyLogLevel: debug}"), 0o600))
	require.NoError(t, os.WriteFile(second, []byte("osm: {envoyLogLevel: info, enableDebugServer: true}"), 0o600))
	vals, err := chartSource{files: []string{first, second}, sets: []string{"osm.enableDebugServer=false"}}.values()
	require.NoError(t, err)
	require.Equal(t, map[string]any{"osm": map[string]any{"enableEgress": false, "envoyLogLevel": "info", "enableDebugServer": false}}, vals)
	_, err = chartSource{files: []string{filepath.Join(dir, "3.yaml")}}.values()
	require.ErrorContains(t, err, "read --values")
}
