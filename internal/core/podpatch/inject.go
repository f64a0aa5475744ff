package podpatch

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
	"openservicemesh.io/osm/internal/core/scrape"
)

// Output is an injected pod.
type Output struct {
	Pod *corev1.Pod
	// Patch makes Pod of the pod that was handed in.
	Patch    []Op
	Warnings []string
}

// Inject gives the pod a sidecar. Decide has said yes before; uuid is new for every call. The pod is not changed.
func Inject(pod *corev1.Pod, ns Namespace, s Settings, bootstraps *bootstrap.Memory, uuid string) (Output, error) {
	in := &injection{pod: pod.DeepCopy(), ns: ns, s: s, bootstraps: bootstraps, uuid: uuid}
	steps := []func() error{in.clean, in.check, in.identify, in.observe, in.probe, in.redirect, in.configure, in.place}
	for _, step := range steps {
		if err := step(); err != nil {
			return Output{}, err
		}
	}
	return Output{Pod: in.pod, Patch: diff(pod, in.pod), Warnings: in.warnings}, nil
}

// injection carries one pod through the steps of Inject.
type injection struct {
	pod        *corev1.Pod
	ns         Namespace
	s          Settings
	bootstraps *bootstrap.Memory
	uuid       string
	windows    bool
	account    string
	probes     probe.Result
	capture    capture.Config
	warnings   []string
}

// clean takes an earlier injection out, so that a copied pod does not end with two sidecars and another pod's name.
func (in *injection) clean() error {
	spec := &in.pod.Spec
	envoy := findInjected(spec)
	if envoy == nil {
		return nil
	}
	remembered := map[string]probe.Probes{}
	for _, e := range envoy.Env {
		if e.Name != envOriginalProbes {
			continue
		}
		if err := json.Unmarshal([]byte(e.Value), &remembered); err != nil {
			return fmt.Errorf("container %q: its environment variable %s is damaged (%w); remove the container and create the pod again", envoy.Name, envOriginalProbes, err)
		}
	}
	ours := func(c corev1.Container) bool {
		return c.Name == names.ContainerEnvoy || c.Name == names.ContainerInit || c.Name == names.ContainerHealthcheck
	}
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, ours)
	spec.Containers = slices.DeleteFunc(spec.Containers, ours)
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == names.VolumeBootstrap })
	in.warnings = append(in.warnings, restoreProbes(spec, remembered)...)
	delete(in.pod.Labels, names.LabelProxyUUID)
	delete(in.pod.Annotations, names.AnnotationEnvoyBootstrap)
	in.pod.Annotations = scrape.Withdraw(in.pod.Annotations)
	return nil
}

// findInjected returns the sidecar of an earlier injection: the name alone may be the user's, the volume is ours.
func findInjected(spec *corev1.PodSpec) *corev1.Container {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].Name != names.ContainerEnvoy {
				continue
			}
			for _, m := range list[i].VolumeMounts {
				if m.Name == names.VolumeBootstrap {
					return &list[i]
				}
			}
		}
	}
	return nil
}

// check refuses what cannot work or would slip past the sidecar unseen.
func (in *injection) check() error {
	spec := &in.pod.Spec
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		switch c.Name {
		case names.ContainerEnvoy, names.ContainerInit, names.ContainerHealthcheck:
			return fmt.Errorf("container name %q is reserved for the mesh's sidecar: rename the container, or set the pod's annotation %s to disabled", c.Name, names.AnnotationInjection)
		}
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == names.SidecarUID {
			return fmt.Errorf("container %q runs as user %d, which is the sidecar's: its connections would bypass the mesh; choose another securityContext.runAsUser", c.Name, names.SidecarUID)
		}
	}
	if sc := spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == names.SidecarUID {
		return fmt.Errorf("the pod runs as user %d, which is the sidecar's: its connections would bypass the mesh; choose another securityContext.runAsUser", names.SidecarUID)
	}
	for _, v := range spec.Volumes {
		if v.Name == names.VolumeBootstrap {
			return fmt.Errorf("volume name %q is reserved for the mesh's sidecar: rename the volume", v.Name)
		}
	}
	return nil
}

func (in *injection) identify() error {
	spec := &in.pod.Spec
	in.windows = windows(in.pod)
	if in.account = spec.ServiceAccountName; in.account == "" {
		in.account = "default"
	}
	set(&in.pod.Labels, names.LabelProxyUUID, in.uuid)
	return nil
}

// cluster is "<serviceaccount>.<namespace>".
func (in *injection) cluster() string { return in.account + "." + in.ns.Name }

// observe sends Prometheus to the sidecar, which answers for the application too.
func (in *injection) observe() error {
	on, err := MetricsEnabled(in.ns)
	if err != nil || !on {
		return err
	}
	var warnings []string
	in.pod.Annotations, warnings = scrape.Announce(in.pod.Annotations, in.pod.Spec.Containers)
	in.warnings = append(in.warnings, warnings...)
	return nil
}

func (in *injection) probe() error {
	in.probes = probe.Rewrite(targetContainers(&in.pod.Spec), !in.s.NativeSidecar)
	in.warnings = append(in.warnings, in.probes.Warnings...)
	return nil
}

// redirect lets through the sidecar's ports in use. The metrics port is among them always: metrics can be switched on
// for a running pod, and nobody but the sidecar can answer there.
func (in *injection) redirect() error {
	c, err := in.s.Traffic.union(in.pod.Annotations)
	if err != nil {
		return err
	}
	c.SidecarPorts = append([]uint16{names.PortSidecarReady, names.PortEnvoyMetrics}, in.probes.Ports()...)
	slices.Sort(c.SidecarPorts)
	c.PodIPMode = in.s.PodIPMode
	in.capture = c
	return nil
}

func (in *injection) configure() error {
	text, err := in.bootstraps.Text(bootstrap.Config{
		NodeID: in.uuid, NodeCluster: in.cluster(),
		ControllerHost: names.Controller + "." + in.s.Mesh.Namespace + ".svc.cluster.local", ControllerPort: names.PortADS,
		ControllerSAN: in.s.ADSName, RootPEM: in.s.RootPEM, TLS: in.s.TLS, Probes: in.probes.Targets, DualStack: in.s.DualStack,
		MemoryLimit: in.s.Resources.Limits.Memory().Value(),
	})
	if err != nil {
		return err
	}
	set(&in.pod.Annotations, names.AnnotationEnvoyBootstrap, text)
	return nil
}

// place puts containers and volume where they belong. As a native sidecar Envoy comes right after the redirection and
// before everything of the application, whose init containers so have a working network. Otherwise the redirection
// comes after the application's init containers, which would have no proxy to be redirected to.
func (in *injection) place() error {
	spec := &in.pod.Spec
	envoy, err := in.envoy()
	if err != nil {
		return err
	}
	var before, sidecars []corev1.Container
	if !in.windows {
		c, err := in.init()
		if err != nil {
			return err
		}
		before = append(before, c)
	}
	if len(in.probes.TCPPorts) > 0 {
		c, err := in.healthcheck()
		if err != nil {
			return err
		}
		sidecars = append(sidecars, c)
	}
	spec.Volumes = append(spec.Volumes, in.volume())
	if in.s.NativeSidecar {
		spec.InitContainers = slices.Concat(before, []corev1.Container{envoy}, sidecars, spec.InitContainers)
		return nil
	}
	spec.InitContainers = append(spec.InitContainers, before...)
	spec.Containers = slices.Concat(spec.Containers, sidecars, []corev1.Container{envoy})
	return nil
}

func set(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}
