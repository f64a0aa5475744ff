// Command localkube is Kubernetes with etcd and CoreDNS in one static binary:
//
//	localkube etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|coredns [FLAGS]
//
// It may also be called by a link with one of these names. Flags are those of
// the component.
//
// Build it with CGO_ENABLED=0 and these variables set by -ldflags "-X …", which
// `localcluster build` does: gitVersion, gitMajor and gitMinor in both
// k8s.io/component-base/version and k8s.io/client-go/pkg/version. Without them the server
// calls itself v0.0.0-master, which the kubeVersion checks of Helm charts refuse.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// kubernetes maps component names to their commands.
var kubernetes = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	if !known(name) && len(os.Args) > 1 {
		// The component reads its flags from os.Args, with its own name first.
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	switch {
	case name == "etcd":
		etcdmain.Main(os.Args)
	case name == "coredns":
		runCoreDNS()
	case kubernetes[name] != nil:
		os.Exit(cli.Run(kubernetes[name]()))
	default:
		fmt.Fprintf(os.Stderr, "usage: localkube %s [FLAGS]\n", strings.Join(names(), "|"))
		os.Exit(2)
	}
}

func known(name string) bool { return slices.Contains(names(), name) }

func names() []string {
	all := []string{"etcd", "coredns"}
	for n := range kubernetes {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}
