package crds

import (
	"fmt"
	"os"

	apiext "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"openservicemesh.io/osm/internal/version"
)

// Clients are connections to one API server.
type Clients struct {
	Core    kubernetes.Interface
	CRDs    apiext.Interface
	Dynamic dynamic.Interface
}

// Connect uses the pod's own account, or, outside a pod, the file that KUBECONFIG names. program is the name the API server's audit log
// shows.
func Connect(program string) (Clients, error) {
	var cfg *rest.Config
	var err error
	if file := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); file != "" {
		cfg, err = clientcmd.BuildConfigFromFlags("", file)
	} else {
		cfg, err = rest.InClusterConfig()
	}
	if err != nil {
		return Clients{}, fmt.Errorf("no way to the Kubernetes API server: %w; run in a pod with a service account, or set KUBECONFIG", err)
	}
	// All definitions are applied at once; the default of 5 requests a second would make that take 10 seconds.
	cfg.QPS, cfg.Burst = 100, 200
	cfg.UserAgent = program + "/" + version.Version
	var c Clients
	if c.Core, err = kubernetes.NewForConfig(cfg); err != nil {
		return Clients{}, err
	}
	if c.CRDs, err = apiext.NewForConfig(cfg); err != nil {
		return Clients{}, err
	}
	c.Dynamic, err = dynamic.NewForConfig(cfg)
	return c, err
}
