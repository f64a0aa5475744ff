package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	helmcli "helm.sh/helm/v4/pkg/cli"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Cluster is the Kubernetes cluster a command works on.
type Cluster struct {
	Kube       kubernetes.Interface
	Extensions apiextensions.Interface
	// Helm returns Helm's view of one namespace; handler takes what Helm logs.
	Helm func(namespace string, handler slog.Handler) (*action.Configuration, error)
	// PodGet fetches http://<pod>:<port>/<path> from inside the pod's network through a port-forward. localPort is the
	// port on this machine; 0 takes a free one.
	PodGet func(ctx context.Context, target PodPort, localPort uint16, path string) ([]byte, error)
	// Version is the API server's version, for example v1.30.2.
	Version func(ctx context.Context) (string, error)
}

// PodPort is one port of a pod.
type PodPort struct {
	Namespace, Pod string
	Port           uint16
}

// Client-side limits: the command is short-lived and asks many small questions at once.
const (
	clientQPS   = 100
	clientBurst = 200
	// reachTimeout bounds the first question to a cluster, so that a wrong address is told soon.
	reachTimeout = 10 * time.Second
)

// connectFromEnvironment opens the cluster of the user's kubeconfig, the way Helm and kubectl find it.
func connectFromEnvironment() (*Cluster, error) {
	settings := helmSettings()
	config, err := settings.RESTClientGetter().ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("Error fetching kubeconfig: %w", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, noAccess(err)
	}
	extensions, err := apiextensions.NewForConfig(config)
	if err != nil {
		return nil, noAccess(err)
	}
	forward := &forwarder{config: config, kube: kube}
	return &Cluster{
		Kube:       kube,
		Extensions: extensions,
		Helm:       helmFromEnvironment,
		PodGet:     forward.get,
		Version:    func(ctx context.Context) (string, error) { return serverVersion(ctx, config) },
	}, nil
}

// noAccess is the documented message for a cluster that cannot be used.
func noAccess(err error) error {
	return fmt.Errorf("Could not access Kubernetes cluster, check kubeconfig: %w", err)
}

// helmSettings reads KUBECONFIG and HELM_*. Helm takes KUBECONFIG for one file; a list of files is left to client-go,
// which reads the variable itself.
func helmSettings() *helmcli.EnvSettings {
	settings := helmcli.New()
	if strings.ContainsRune(settings.KubeConfig, os.PathListSeparator) {
		settings.KubeConfig = ""
	}
	settings.QPS = clientQPS
	settings.BurstLimit = clientBurst
	return settings
}

// helmFromEnvironment makes Helm's configuration for one namespace.
func helmFromEnvironment(namespace string, handler slog.Handler) (*action.Configuration, error) {
	settings := helmSettings()
	settings.SetNamespace(namespace)
	cfg := action.NewConfiguration(action.ConfigurationSetLogger(handler))
	if err := cfg.Init(settings.RESTClientGetter(), namespace, os.Getenv("HELM_DRIVER")); err != nil {
		return nil, noAccess(err)
	}
	return cfg, nil
}

// serverVersion asks the API server for its version.
func serverVersion(ctx context.Context, config *rest.Config) (string, error) {
	short := rest.CopyConfig(config)
	short.Timeout = reachTimeout
	kube, err := kubernetes.NewForConfig(short)
	if err != nil {
		return "", err
	}
	info, err := discovery.ToServerVersionInterfaceWithContext(kube.Discovery()).ServerVersionWithContext(ctx)
	if err != nil {
		return "", err
	}
	return info.GitVersion, nil
}
