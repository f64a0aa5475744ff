package podpatch

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
	"openservicemesh.io/osm/internal/core/scrape"
)

// Environment variables of the injected containers.
const (
	envOriginalProbes   = "OSM_ORIGINAL_PROBES"
	envHealthcheckPorts = "OSM_HEALTHCHECK_PORTS"
	envEndWithSidecar   = "OSM_END_WITH_SIDECAR"
)

const (
	// tokenSeconds is the lifetime asked for the sidecar's token; the kubelet renews it at four fifths.
	tokenSeconds = 3600
	// defaultConcurrency is Envoy's number of workers without a CPU limit; its own default, one for each CPU of the
	// node, would cost memory and connections on large nodes.
	defaultConcurrency = 2
	// drainSeconds is how long connections of a changed or removed listener live on.
	drainSeconds = 15
	// healthcheckUID is any user but root and the sidecar's, whose connections are treated differently.
	healthcheckUID = 65532
	windowsUser    = "EnvoyUser"
)

func (in *injection) envoy() (corev1.Container, error) {
	c := corev1.Container{
		Name:            names.ContainerEnvoy,
		Image:           in.s.Images.Envoy,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{"envoy"},
		Args: []string{
			"--log-level", in.s.LogLevel,
			"--config-path", names.BootstrapDir + "/" + names.BootstrapFile,
			"--service-cluster", in.cluster(),
			"--drain-time-s", strconv.Itoa(drainSeconds), "--drain-strategy", "immediate",
			"--concurrency", strconv.Itoa(concurrency(in.s.Resources)),
			// Two Envoys in one pod would fight for the same socket otherwise.
			"--disable-hot-restart",
		},
		Ports:     in.envoyPorts(),
		Env:       in.envoyEnv(),
		Resources: *in.s.Resources.DeepCopy(),
		VolumeMounts: []corev1.VolumeMount{{
			Name: names.VolumeBootstrap, MountPath: names.BootstrapDir, ReadOnly: true,
		}},
		SecurityContext: unprivileged(names.SidecarUID),
	}
	if in.windows {
		c.Image = in.s.Images.EnvoyWindows
		user := windowsUser
		c.SecurityContext = &corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: &user}}
	}
	if c.Image == "" {
		return c, fmt.Errorf("no image is known for the container %s: set MeshConfig spec.sidecar.envoyImage (envoyWindowsImage on Windows)", names.ContainerEnvoy)
	}
	if in.s.NativeSidecar {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		c.StartupProbe = probeReady(names.PortSidecarReady)
	} else {
		c.Lifecycle = in.outlive()
	}
	if len(in.probes.Originals) > 0 {
		js, err := json.Marshal(in.probes.Originals)
		if err != nil {
			return c, fmt.Errorf("remember the application's probes: %w", err)
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: envOriginalProbes, Value: string(js)})
	}
	return c, nil
}

// probeReady asks for names.PathSidecarReady. As a sidecar's startup probe it holds the application back until the sidecar
// serves, however long the control plane takes to answer.
func probeReady(port int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: names.PathSidecarReady, Port: intstr.FromInt32(port),
		}},
		PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 3600,
	}
}

func (in *injection) envoyPorts() []corev1.ContainerPort {
	ports := []corev1.ContainerPort{
		{Name: "proxy-admin", ContainerPort: names.PortEnvoyAdmin},
		{Name: "proxy-inbound", ContainerPort: names.PortInbound},
		{Name: "proxy-metrics", ContainerPort: names.PortEnvoyMetrics},
	}
	shared := []corev1.ContainerPort{
		{Name: "liveness-port", ContainerPort: names.PortProbeLiveness},
		{Name: "readiness-port", ContainerPort: names.PortProbeReadiness},
		{Name: "startup-port", ContainerPort: names.PortProbeStartup},
	}
	for _, s := range shared {
		for _, used := range in.probes.Ports() {
			if int32(used) == s.ContainerPort {
				ports = append(ports, s)
			}
		}
	}
	return ports
}

func (in *injection) envoyEnv() []corev1.EnvVar {
	workload := scrape.WorkloadOf(in.pod)
	name := corev1.EnvVar{Name: names.EnvWorkloadName, Value: workload.Name}
	if workload.Kind == scrape.KindPod {
		name = fieldEnv(names.EnvWorkloadName, "metadata.name") // which the API server may have to make up yet
	}
	return []corev1.EnvVar{
		fieldEnv("POD_UID", "metadata.uid"),
		fieldEnv(names.EnvPodName, "metadata.name"),
		fieldEnv(names.EnvPodNamespace, "metadata.namespace"),
		fieldEnv("POD_IP", "status.podIP"),
		fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
		{Name: names.EnvWorkloadKind, Value: workload.Kind}, name,
	}
}

func (in *injection) init() (corev1.Container, error) {
	js, err := json.Marshal(in.capture)
	if err != nil {
		return corev1.Container{}, fmt.Errorf("write %s: %w", capture.EnvConfig, err)
	}
	if in.s.Images.Init == "" {
		return corev1.Container{}, fmt.Errorf("no image is known for the container %s: set MeshConfig spec.sidecar.initContainerImage", names.ContainerInit)
	}
	root, no, yes := int64(0), false, true
	sc := &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN"}},
		Privileged:   &in.s.PrivilegedInit,
		RunAsUser:    &root, RunAsGroup: &root, RunAsNonRoot: &no,
		ReadOnlyRootFilesystem: &yes,
		SeccompProfile:         &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if !in.s.PrivilegedInit {
		// The API server refuses this beside privileged.
		sc.AllowPrivilegeEscalation = &no
	}
	return corev1.Container{
		Name:            names.ContainerInit,
		Image:           in.s.Images.Init,
		ImagePullPolicy: in.s.PullPolicy,
		Command:         []string{"/osm-init"},
		Env: []corev1.EnvVar{
			fieldEnv("POD_IP", "status.podIP"),
			fieldEnv("POD_IPS", "status.podIPs"),
			{Name: capture.EnvConfig, Value: string(js)},
		},
		SecurityContext: sc,
	}, nil
}

func (in *injection) healthcheck() (corev1.Container, error) {
	if in.s.Images.Healthcheck == "" {
		return corev1.Container{}, fmt.Errorf("no image is known for the container %s: set the injector's environment variable OSM_DEFAULT_HEALTHCHECK_CONTAINER_IMAGE", names.ContainerHealthcheck)
	}
	ports := make([]string, len(in.probes.TCPPorts))
	for i, p := range in.probes.TCPPorts {
		ports[i] = strconv.Itoa(int(p))
	}
	c := corev1.Container{
		Name:            names.ContainerHealthcheck,
		Image:           in.s.Images.Healthcheck,
		ImagePullPolicy: in.s.PullPolicy,
		Command:         []string{"/osm-healthcheck"},
		Args:            []string{"--verbosity", in.s.Verbosity},
		Ports:           []corev1.ContainerPort{{ContainerPort: names.PortHealthcheck}},
		Env: []corev1.EnvVar{
			fieldEnv("POD_IP", "status.podIP"),
			{Name: envHealthcheckPorts, Value: strings.Join(ports, ",")},
		},
		SecurityContext: unprivileged(healthcheckUID),
	}
	if in.windows {
		c.SecurityContext = nil
	}
	if in.s.NativeSidecar {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	} else if p := in.pod.Spec.RestartPolicy; p == corev1.RestartPolicyNever || p == corev1.RestartPolicyOnFailure {
		// Once the application has ended the sidecar is told to end. A pod that runs on for its helper would not complete.
		c.Env = append(c.Env, corev1.EnvVar{Name: envEndWithSidecar, Value: "true"})
		// It has started when it has seen the sidecar, which is not told to end before.
		c.StartupProbe = probeReady(names.PortHealthcheck)
		c.StartupProbe.FailureThreshold = math.MaxInt32 // without a sidecar the pod waits, and is not failed for its helper
	}
	return c, nil
}

// volume holds all a sidecar starts with: its bootstrap, from the pod's own annotation, and the pod's token for the
// control plane. One volume, so that both are there or neither.
func (in *injection) volume() corev1.Volume {
	seconds := int64(tokenSeconds)
	return corev1.Volume{Name: names.VolumeBootstrap, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     names.BootstrapFile,
				FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + names.AnnotationEnvoyBootstrap + "']"},
			}}}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: names.TokenAudience(in.s.Mesh.Name, in.s.Mesh.Namespace), ExpirationSeconds: &seconds, Path: names.TokenFile,
			}},
		},
	}}}
}

func unprivileged(uid int64) *corev1.SecurityContext {
	yes, no := true, false
	return &corev1.SecurityContext{
		RunAsUser: &uid, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// concurrency follows a CPU limit, rounded up.
func concurrency(r corev1.ResourceRequirements) int {
	if q, ok := r.Limits[corev1.ResourceCPU]; ok && !q.IsZero() {
		return int(math.Ceil(float64(q.MilliValue()) / 1000))
	}
	return defaultConcurrency
}

// targetContainers are those whose probes are rewritten: the application's, and its own native sidecars.
func targetContainers(spec *corev1.PodSpec) []*corev1.Container {
	var out []*corev1.Container
	for i := range spec.InitContainers {
		if p := spec.InitContainers[i].RestartPolicy; p != nil && *p == corev1.ContainerRestartPolicyAlways {
			out = append(out, &spec.InitContainers[i])
		}
	}
	for i := range spec.Containers {
		out = append(out, &spec.Containers[i])
	}
	return out
}

// restoreProbes is the inverse of the rewriting, from what the earlier injection remembered.
func restoreProbes(spec *corev1.PodSpec, remembered map[string]probe.Probes) (warnings []string) {
	for _, c := range targetContainers(spec) {
		if orig, ok := remembered[c.Name]; ok {
			probe.Restore(c, orig)
		}
		for _, p := range []**corev1.Probe{&c.LivenessProbe, &c.ReadinessProbe, &c.StartupProbe} {
			if probe.IsRewritten(*p) {
				*p = nil
				warnings = append(warnings, fmt.Sprintf("container %q: a probe of an earlier injection is removed, for what it asked is not known any more", c.Name))
			}
		}
	}
	return warnings
}
