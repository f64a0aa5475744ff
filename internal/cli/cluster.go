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
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Cluster is the Kubernetes cluster a command works on.
type Cluster struct {
	Kube       kubernetes.Interface
	Extensions apiextensions.Interface
	// Helm returns Helm's view of one namespace; handler takes what Helm logs.
	Helm func(namespace string, handler slog.Handler) (*action.Configuration, error)
	// Dynamic reads the mesh's own kinds.
	Dynamic dynamic.Interface
	// PodGet fetches http://<pod>:<port>/<path> from inside the pod's network through a port-forward. localPort is the
	// port on this machine; 0 takes a free one.
	PodGet func(ctx context.Context, target PodPort, localPort uint16, path string) ([]byte, error)
	// PodPost is PodGet with an empty POST.
	PodPost func(ctx context.Context, target PodPort, localPort uint16, path string) ([]byte, error)
	// Forward forwards a local port to a pod's until ctx ends, and calls ready with the local port once it is open.
	Forward func(ctx context.Context, target PodPort, localPort uint16, ready func(uint16)) error
	// Version is the API server's version, for example v1.30.2.
	Version func(ctx context.Context) (string, error)
}

// Access chooses a cluster; empty fields leave it to the environment.
type Access struct {
	// Kubeconfig is a file, Context a context in it.
	Kubeconfig, Context string
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
func connectFromEnvironment(access Access) (*Cluster, error) {
	settings := helmSettings(access)
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
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, noAccess(err)
	}
	forward := &forwarder{config: config, kube: kube}
	return &Cluster{
		Kube:       kube,
		Extensions: extensions,
		Dynamic:    objects,
		Helm: func(namespace string, handler slog.Handler) (*action.Configuration, error) {
			return helmFromEnvironment(access, namespace, handler)
		},
		PodGet:  forward.get,
		PodPost: forward.post,
		Forward: forward.forward,
		Version: func(ctx context.Context) (string, error) { return serverVersion(ctx, config) },
	}, nil
}

// noAccess is the documented message for a cluster that cannot be used.
func noAccess(err error) error {
	return fmt.Errorf("Could not access Kubernetes cluster, check kubeconfig: %w", err)
}

// helmSettings reads KUBECONFIG and HELM_*. Helm takes KUBECONFIG for one file; a list of files is left to client-go,
// which reads the variable itself.
func helmSettings(access Access) *helmcli.EnvSettings {
	settings := helmcli.New()
	if access.Kubeconfig != "" {
		settings.KubeConfig = access.Kubeconfig
	}
	if access.Context != "" {
		settings.KubeContext = access.Context
	}
	if access.Kubeconfig == "" && strings.ContainsRune(settings.KubeConfig, os.PathListSeparator) {
		settings.KubeConfig = ""
	}
	settings.QPS = clientQPS
	settings.BurstLimit = clientBurst
	return settings
}

// helmFromEnvironment makes Helm's configuration for one namespace.
func helmFromEnvironment(access Access, namespace string, handler slog.Handler) (*action.Configuration, error) {
	settings := helmSettings(access)
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
