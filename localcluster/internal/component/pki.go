package component

import (
	"fmt"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/pki"
)

// leaf says which certificate, and which kubeconfig it goes into.
type leaf struct {
	pki.Leaf
	// kubeconfig is the path of the kubeconfig that holds it, if any.
	kubeconfig string
}

func leaves(s Settings) []leaf {
	l := s.Layout
	conf := func(name string) string { return l.Path("etc", name+".conf") }
	hosts := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		l.Node(), "127.0.0.1", cluster.NodeIP, cluster.ServiceIP}
	return []leaf{
		{Leaf: pki.Leaf{File: APIServerPair, CommonName: APIServer, Hosts: hosts}},
		{Leaf: pki.Leaf{File: APIToKubeletPair, CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}}},
		{Leaf: pki.Leaf{File: KubeletServerPair, CommonName: "system:node:" + l.Node(), Hosts: []string{l.Node(), cluster.NodeIP, cluster.NodeIP6}}},
		{Leaf: pki.Leaf{File: AdminPair, CommonName: "localcluster-admin", Organizations: []string{"system:masters"}}, kubeconfig: l.Kubeconfig()},
		{Leaf: pki.Leaf{File: ControllerManager, CommonName: "system:kube-controller-manager"}, kubeconfig: conf(ControllerManager)},
		{Leaf: pki.Leaf{File: Scheduler, CommonName: "system:kube-scheduler"}, kubeconfig: conf(Scheduler)},
		{Leaf: pki.Leaf{File: Proxy, CommonName: "system:kube-proxy"}, kubeconfig: conf(Proxy)},
		{Leaf: pki.Leaf{File: Kubelet, CommonName: "system:node:" + l.Node(), Organizations: []string{"system:nodes"}}, kubeconfig: conf(Kubelet)},
	}
}

// WritePKI makes what is missing of the authority, issues all certificates anew
// and writes the kubeconfigs.
func WritePKI(s Settings, now time.Time) error {
	dir := s.Layout.Path("pki")
	ca, err := pki.LoadOrCreateCA(dir, "localcluster-"+s.Layout.Name, now)
	if err != nil {
		return err
	}
	if err := pki.EnsureSigningKey(dir, SigningPair); err != nil {
		return err
	}
	for _, lf := range leaves(s) {
		pair, err := ca.Issue(lf.Leaf, now)
		if err != nil {
			return err
		}
		if lf.kubeconfig == "" {
			continue
		}
		conf := pki.Kubeconfig(s.Layout.Name, APIURL(s.APIPort), ca.PEM(), pair)
		if err := cluster.WriteFile(lf.kubeconfig, conf, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// APIURL is the address of the API server on loopback, the same on the machine
// and inside the cluster's network.
func APIURL(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }
