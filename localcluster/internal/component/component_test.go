package component

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

func settings(t *testing.T, ipv6 bool) Settings {
	t.Helper()
	dir, err := os.MkdirTemp("", "lc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := cluster.NewLayout("c1", dir)
	if err != nil {
		t.Fatal(err)
	}
	return Settings{Layout: l, APIPort: 6500, IPv6: ipv6, CNIBinDir: "/cni/bin", Containerd: "/usr/bin/containerd", Snapshotter: "overlayfs"}
}

func arg(t *testing.T, s Settings, component, flag string) string {
	t.Helper()
	for _, c := range All(s) {
		if c.Name != component {
			continue
		}
		for _, a := range c.Argv {
			if v, ok := strings.CutPrefix(a, flag+"="); ok {
				return v
			}
		}
	}
	t.Fatalf("%s has no %s", component, flag)
	return ""
}

func file(t *testing.T, s Settings, name string) string {
	t.Helper()
	for _, f := range Files(s) {
		if strings.HasSuffix(f.Path, "/"+name) {
			return f.Content
		}
	}
	t.Fatalf("no file %s", name)
	return ""
}

func TestAddressFamilies(t *testing.T) {
	for name, c := range map[string]struct {
		ipv6                 bool
		services, node, pods string
	}{
		"both": {true, "10.96.0.0/16,fd79::/112", "10.77.0.1,fd77::1", "10.244.0.0/24,fd78::/64"},
		"IPv4": {false, "10.96.0.0/16", "10.77.0.1", "10.244.0.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(t, c.ipv6)
			if got := arg(t, s, APIServer, "--service-cluster-ip-range"); got != c.services {
				t.Errorf("services %s", got)
			}
			if got := arg(t, s, Kubelet, "--node-ip"); got != c.node {
				t.Errorf("node %s", got)
			}
			if got := file(t, s, "kube-proxy.yaml"); !strings.Contains(got, `clusterCIDR: "`+c.pods+`"`) {
				t.Errorf("pods:\n%s", got)
			}
			var cni struct {
				Plugins []struct {
					IPAM struct {
						Ranges [][]struct{ Subnet string }
						Routes []struct{ Dst string }
					}
				}
			}
			if err := json.Unmarshal([]byte(file(t, s, "10-localcluster.conflist")), &cni); err != nil {
				t.Fatal(err)
			}
			var subnets []string
			for _, r := range cni.Plugins[0].IPAM.Ranges {
				subnets = append(subnets, r[0].Subnet)
			}
			if got := strings.Join(subnets, ","); got != c.pods || len(cni.Plugins[0].IPAM.Routes) != len(subnets) {
				t.Errorf("plugin has %s and routes %v", got, cni.Plugins[0].IPAM.Routes)
			}
		})
	}
}

// TestClustersShareNothing: with two clusters side by side, no argument and no
// configuration of one names a file of the other, and what they write lies in
// their own folder or in the private parts of the file system.
func TestClustersShareNothing(t *testing.T) {
	a := settings(t, true)
	b := a
	b.Layout.Name = "c2"
	texts := func(s Settings) (all []string) {
		for _, c := range All(s) {
			all = append(all, c.Argv...)
		}
		for _, f := range Files(s) {
			all = append(all, f.Path, f.Content)
		}
		return all
	}
	for _, text := range texts(b) {
		if strings.Contains(text, a.Layout.Dir()) || strings.Contains(text, a.Layout.CgroupName()) || strings.Contains(text, "c1-node") {
			t.Errorf("cluster c2 names c1's: %s", text)
		}
	}
	for _, c := range All(a) {
		for _, arg := range c.Argv[1:] {
			_, v, _ := strings.Cut(arg, "=")
			if strings.HasPrefix(v, "/") && !strings.HasPrefix(v, a.Layout.Dir()+"/") && !strings.HasPrefix(v, KubeletDir) {
				t.Errorf("%s writes or reads outside of its folder: %s", c.Name, arg)
			}
		}
	}
}

func TestOrderOfStart(t *testing.T) {
	cs := All(settings(t, true))
	if !slices.IsSortedFunc(cs, func(a, b Component) int { return int(a.Gate) - int(b.Gate) }) {
		t.Error("a component stands before one with an earlier gate")
	}
	names := Names()
	if names[0] != Supervisor || len(names) != len(cs)+1 {
		t.Errorf("names %q", names)
	}
}

func TestWritePKI(t *testing.T) {
	s := settings(t, true)
	if err := s.Layout.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again over what is there
		if err := WritePKI(s, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range []string{AdminPair, APIServerPair, APIToKubeletPair, KubeletServerPair} {
		if _, err := tls.LoadX509KeyPair(s.Layout.Path("pki", pair+".crt"), s.Layout.Path("pki", pair+".key")); err != nil {
			t.Error(err)
		}
	}
	for _, conf := range []string{s.Layout.Kubeconfig(), s.Layout.Path("etc", "kubelet.conf"), s.Layout.Path("etc", "kube-proxy.conf"),
		s.Layout.Path("etc", "kube-scheduler.conf"), s.Layout.Path("etc", "kube-controller-manager.conf")} {
		b, err := os.ReadFile(conf)
		if err != nil || !strings.Contains(string(b), "server: https://127.0.0.1:6500\n") {
			t.Errorf("%s: %v", conf, err)
		}
		if info, err := os.Stat(conf); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", conf, err)
		}
	}
}
