package component

import (
	"fmt"
	"os"
	"path/filepath"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// Names of the components, as in `localcluster logs NAME`.
const (
	Etcd              = "etcd"
	Containerd        = "containerd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	// Supervisor is process 1, which starts the others.
	Supervisor = "supervisor"
)

// Gate is what a component waits for before its first start.
type Gate int

// The gates, from early to late.
const (
	// Now: nothing is needed.
	Now Gate = iota
	// EtcdReady: etcd accepts connections.
	EtcdReady
	// ContainerdReady: containerd's socket accepts connections.
	ContainerdReady
	// APIReady: the API server says it is ready.
	APIReady
)

// String names the gate for logs.
func (g Gate) String() string {
	return [...]string{"now", "etcd ready", "containerd ready", "API ready"}[g]
}

// Settings are what differs from one start to the next.
type Settings struct {
	Layout cluster.Layout
	// APIPort is the API server's port.
	APIPort int
	// IPv6 is false where the kernel has none.
	IPv6 bool
	// CNIBinDir holds the CNI plugins.
	CNIBinDir string
	// Containerd is the path of containerd.
	Containerd string
	// Snapshotter is "overlayfs", or "native" where overlay mounts do not work.
	Snapshotter string
}

// Component is one process.
type Component struct {
	Name string
	Argv []string
	Gate Gate
}

// File is a configuration file.
type File struct {
	Path    string
	Content string
	Mode    os.FileMode
}

// Etcd's address; it listens inside the cluster's namespace only.
const (
	etcdURL     = "http://127.0.0.1:2379"
	etcdPeerURL = "http://127.0.0.1:2380"
	// EtcdAddr is what a dial checks.
	EtcdAddr = "127.0.0.1:2379"
)

// PauseImage holds a pod's namespaces open.
const PauseImage = "local/pause:1"

// Paths inside the cluster's private view of the file system; see supervisor.
const (
	KubeletDir = "/var/lib/kubelet"
	// ContainerdState is on a file system in memory and starts empty.
	ContainerdState = "/run/containerd"
)

// AdminPair, and so on, are the base names of certificates in the pki folder.
const (
	AdminPair         = "admin"
	APIServerPair     = "apiserver"
	APIToKubeletPair  = "apiserver-kubelet-client"
	KubeletServerPair = "kubelet-server"
	SigningPair       = "sa"
)

// All lists the components in the order in which they are started.
func All(s Settings) []Component {
	lk := s.Layout.Localkube()
	kube := func(name string, gate Gate, args []string) Component {
		return Component{Name: name, Gate: gate, Argv: append([]string{lk, name}, args...)}
	}
	return []Component{
		kube(Etcd, Now, etcdArgs(s)),
		{Name: Containerd, Gate: Now, Argv: []string{s.Containerd, "--config", s.Layout.Path("etc", "containerd.toml"), "--log-level", "warn"}},
		kube(APIServer, EtcdReady, apiServerArgs(s)),
		kube(Kubelet, ContainerdReady, kubeletArgs(s)),
		kube(ControllerManager, APIReady, controllerManagerArgs(s)),
		kube(Scheduler, APIReady, schedulerArgs(s)),
		kube(Proxy, APIReady, proxyArgs(s)),
	}
}

// Names lists the components, and the supervisor, in order of start.
func Names() []string {
	names := []string{Supervisor}
	for _, c := range All(Settings{}) {
		names = append(names, c.Name)
	}
	return names
}

func etcdArgs(s Settings) []string {
	return []string{
		"--name=default",
		"--data-dir=" + s.Layout.Path("etcd"),
		"--listen-client-urls=" + etcdURL,
		"--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=" + etcdPeerURL,
		"--initial-advertise-peer-urls=" + etcdPeerURL,
		"--initial-cluster=default=" + etcdPeerURL,
		// The cluster is for throwing away: speed counts, a power cut does not.
		"--unsafe-no-fsync",
		"--heartbeat-interval=500",
		"--election-timeout=2500",
		"--log-level=warn",
	}
}

func apiServerArgs(s Settings) []string {
	pki := func(f string) string { return s.Layout.Path("pki", f) }
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0",
		fmt.Sprintf("--secure-port=%d", s.APIPort),
		"--advertise-address=" + cluster.NodeIP,
		"--service-cluster-ip-range=" + dual(s, cluster.ServiceCIDR, cluster.ServiceCIDR6),
		"--tls-cert-file=" + pki(APIServerPair+".crt"),
		"--tls-private-key-file=" + pki(APIServerPair+".key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--service-account-key-file=" + pki(SigningPair+".pub"),
		"--service-account-signing-key-file=" + pki(SigningPair+".key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		// Else `kubectl logs` and `exec` would try to resolve the node's name.
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=" + pki(APIToKubeletPair+".crt"),
		"--kubelet-client-key=" + pki(APIToKubeletPair+".key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--profiling=false",
	}
}

func controllerManagerArgs(s Settings) []string {
	return []string{
		"--kubeconfig=" + s.Layout.Path("etc", ControllerManager+".conf"),
		"--service-account-private-key-file=" + s.Layout.Path("pki", SigningPair+".key"),
		"--root-ca-file=" + s.Layout.Path("pki", "ca.crt"),
		"--cluster-signing-cert-file=" + s.Layout.Path("pki", "ca.crt"),
		"--cluster-signing-key-file=" + s.Layout.Path("pki", "ca.key"),
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--profiling=false",
		// Each of its controllers fetches a token at the start; the default of 20
		// requests per second would make that take seconds.
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	}
}

func schedulerArgs(s Settings) []string {
	return []string{
		"--kubeconfig=" + s.Layout.Path("etc", Scheduler+".conf"),
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--profiling=false",
	}
}

func kubeletArgs(s Settings) []string {
	return []string{
		"--config=" + s.Layout.Path("etc", "kubelet.yaml"),
		"--kubeconfig=" + s.Layout.Path("etc", Kubelet+".conf"),
		"--hostname-override=" + s.Layout.Node(),
		"--node-ip=" + dual(s, cluster.NodeIP, cluster.NodeIP6),
		"--root-dir=" + KubeletDir,
		"--cert-dir=" + filepath.Join(KubeletDir, "pki"),
	}
}

func proxyArgs(s Settings) []string {
	return []string{"--config=" + s.Layout.Path("etc", "kube-proxy.yaml")}
}

func dual(s Settings, v4, v6 string) string {
	if s.IPv6 {
		return v4 + "," + v6
	}
	return v4
}

// configMode is of files that components only read.
const configMode = 0o644

// Files are the configuration files that the components read, and the plugins that containerd runs.
func Files(s Settings) []File {
	return append(cniFiles(s),
		File{s.Layout.Path("etc", "containerd.toml"), containerdConfig(s), configMode},
		File{s.Layout.Path("etc", "kubelet.yaml"), kubeletConfig(s), configMode},
		File{s.Layout.Path("etc", "kube-proxy.yaml"), proxyConfig(s), configMode},
		File{s.Layout.Path("dns", "Corefile"), corefile, configMode},
		File{s.Layout.Path("dns", "nothing.zone"), nothingZone, configMode},
	)
}

func containerdConfig(s Settings) string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
# Without CAP_SYS_RESOURCE the kernel refuses to lower a score, and runc dies of it.
restrict_oom_score_adj = true
# A profile would be loaded into the machine's kernel and stay there.
disable_apparmor = true
sandbox_image = %[4]q
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %[5]q
conf_dir = %[6]q
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = %[7]q
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
`, s.Layout.Path("containerd"), ContainerdState, s.Layout.ContainerdSocket(), PauseImage, s.Layout.Path("cni", "bin"), s.Layout.Path("cni"), s.Snapshotter)
}

func kubeletConfig(s Settings) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%[1]s
cgroupsPerQOS: true
enforceNodeAllocatable: []
clusterDNS: [%[2]s]
clusterDomain: cluster.local
resolvConf: ""
containerRuntimeEndpoint: unix://%[3]s
address: %[8]q
authentication:
  x509: {clientCAFile: %[4]q}
  anonymous: {enabled: false}
authorization: {mode: Webhook}
tlsCertFile: %[5]q
tlsPrivateKeyFile: %[6]q
failSwapOn: false
evictionHard: {nodefs.available: "1%%", nodefs.inodesFree: "1%%", imagefs.available: "1%%", memory.available: "100Mi"}
# Images come by "localcluster load" only; one that is removed would not come back.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
maxPods: 200
volumePluginDir: %[7]s/volumeplugins
volumeStatsAggPeriod: "-1s"
nodeStatusReportFrequency: 5m
`, s.Layout.CgroupName(), cluster.DNSIP, s.Layout.ContainerdSocket(), s.Layout.Path("pki", "ca.crt"),
		s.Layout.Path("pki", KubeletServerPair+".crt"), s.Layout.Path("pki", KubeletServerPair+".key"), KubeletDir, cluster.NodeIP)
}

// proxyConfig leaves the connection table's size alone, which belongs to the
// machine and not to a namespace, and lets Services follow changes at once.
func proxyConfig(s Settings) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
hostnameOverride: %q
clusterCIDR: %q
conntrack: {maxPerCore: 0}
nftables: {minSyncPeriod: 100ms}
`, s.Layout.Path("etc", Proxy+".conf"), s.Layout.Node(), dual(s, cluster.PodCIDR, cluster.PodCIDR6))
}

// corefile answers names of the cluster, and those in the file "hosts" beside
// it (which stand for the world outside in tests); other names do not exist.
const corefile = `.:53 {
    errors
    health
    ready
    hosts /etc/coredns/hosts . {
        reload 1s
        ttl 5
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    file /etc/coredns/nothing.zone .
    cache 5
    loadbalance
    reload
}
`

// nothingZone is a root zone without names: whatever nobody else knows is
// answered with "no such name".
const nothingZone = `. 5 IN SOA localcluster. nobody.localcluster. 1 3600 3600 3600 5
. 5 IN NS localcluster.
`
