package inject

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// crdPoll is how often the MeshConfig resource is asked for while osm-bootstrap has not installed it yet.
const crdPoll = 100 * time.Millisecond

// freshPatience bounds the one read of a namespace that a review may make.
const freshPatience = 5 * time.Second

// ClusterConfig says what to watch. All fields but MeshConfigName are needed.
type ClusterConfig struct {
	Kube     kubernetes.Interface
	Dynamic  dynamic.Interface
	Defaults Defaults
	// MeshConfigName defaults to osm-mesh-config, in the mesh's namespace.
	MeshConfigName string
	// RootPEM returns the mesh's root certificates now, RootChanged a channel that closes at their next change.
	RootPEM     func() []byte
	RootChanged func() <-chan struct{}
	// OnSettings, which may be nil, is told the settings after each change.
	OnSettings func(podpatch.Settings)
	Log        *slog.Logger
}

// Cluster is a State that watches the namespaces of the mesh and its MeshConfig.
type Cluster struct {
	cfg        ClusterConfig
	namespaces cache.SharedIndexInformer
	synced     atomic.Bool
	settings   atomic.Pointer[podpatch.Settings]

	mu         sync.Mutex
	meshConfig *configv1alpha2.MeshConfig
}

// NewCluster does not talk to the cluster yet; Run does.
func NewCluster(cfg ClusterConfig) (*Cluster, error) {
	if cfg.MeshConfigName == "" {
		cfg.MeshConfigName = names.MeshConfig
	}
	c := &Cluster{cfg: cfg}
	ours := labels.Set{names.LabelMonitoredBy: cfg.Defaults.Mesh.Name}.String()
	c.namespaces = coreinformers.NewFilteredNamespaceInformer(cfg.Kube, 0, cache.Indexers{}, func(o *metav1.ListOptions) { o.LabelSelector = ours })
	if err := c.namespaces.SetTransform(stripNamespace); err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	c.rebuild()
	return c, nil
}

// Run watches until ctx ends.
func (c *Cluster) Run(ctx context.Context) error {
	go c.namespaces.RunWithContext(ctx)
	go c.followRoot(ctx)
	meshConfigs, err := c.watchMeshConfig(ctx)
	if err != nil {
		return errUnlessEnded(ctx, err)
	}
	if !cache.WaitForCacheSync(ctx.Done(), c.namespaces.HasSynced, meshConfigs.HasSynced) {
		return nil // ctx has ended
	}
	c.synced.Store(true)
	c.cfg.Log.Info("the mesh's namespaces and configuration are known", "mesh", c.cfg.Defaults.Mesh.Name, "native_sidecars", c.cfg.Defaults.NativeSidecar)
	<-ctx.Done()
	return nil
}

// errUnlessEnded forgets the error of something that failed because ctx ended.
func errUnlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // whoever ended ctx knows
	}
	return err
}

// Synced reports whether everything has been listed once.
func (c *Cluster) Synced() bool { return c.synced.Load() }

// Namespace implements State.
func (c *Cluster) Namespace(name string) (podpatch.Namespace, bool) {
	obj, ok, err := c.namespaces.GetStore().GetByKey(name)
	if err != nil || !ok {
		return podpatch.Namespace{}, false
	}
	return namespaceOf(obj.(*corev1.Namespace)), true
}

// FreshNamespace implements State.
func (c *Cluster) FreshNamespace(ctx context.Context, name string) (podpatch.Namespace, error) {
	ctx, cancel := context.WithTimeout(ctx, freshPatience)
	defer cancel()
	ns, err := c.cfg.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return podpatch.Namespace{}, err
	}
	return namespaceOf(ns), nil
}

// Settings implements State.
func (c *Cluster) Settings() podpatch.Settings { return *c.settings.Load() }

func (c *Cluster) followRoot(ctx context.Context) {
	for {
		changed := c.cfg.RootChanged()
		c.rebuild()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// watchMeshConfig waits for the resource to exist: a watch on one that does not backs off for half a minute.
func (c *Cluster) watchMeshConfig(ctx context.Context) (cache.SharedIndexInformer, error) {
	client := c.cfg.Dynamic.Resource(configv1alpha2.MeshConfigs).Namespace(c.cfg.Defaults.Mesh.Namespace)
	said := false
	err := wait.PollUntilContextCancel(ctx, crdPoll, true, func(ctx context.Context) (bool, error) {
		_, err := client.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil && !said {
			said = true
			c.cfg.Log.Info("waiting for the MeshConfig resource, which osm-bootstrap installs", "error", err)
		}
		return err == nil, nil
	})
	if err != nil {
		return nil, err
	}
	inf := dynamicinformer.NewFilteredDynamicInformer(c.cfg.Dynamic, configv1alpha2.MeshConfigs, c.cfg.Defaults.Mesh.Namespace, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, c.cfg.MeshConfigName).String()
	}).Informer()
	_, err = inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.see(obj) },
		UpdateFunc: func(_, obj any) { c.see(obj) },
		DeleteFunc: func(any) { c.set(nil) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch MeshConfig: %w", err)
	}
	go inf.RunWithContext(ctx)
	return inf, nil
}

// see keeps the last good MeshConfig when a new one cannot be read.
func (c *Cluster) see(obj any) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok || u.GetName() != c.cfg.MeshConfigName {
		return
	}
	var mc configv1alpha2.MeshConfig
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &mc); err != nil {
		c.cfg.Log.Error("MeshConfig cannot be read; the settings before it stay", "object", u.GetNamespace()+"/"+u.GetName(), "error", err, "error_code", errcode.Code("E4151"))
		return
	}
	c.set(&mc)
}

func (c *Cluster) set(mc *configv1alpha2.MeshConfig) {
	c.mu.Lock()
	c.meshConfig = mc
	c.mu.Unlock()
	c.rebuild()
}

func (c *Cluster) rebuild() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := settings(c.cfg.Defaults, c.meshConfig, string(c.cfg.RootPEM()))
	c.settings.Store(&s)
	if c.cfg.OnSettings != nil {
		c.cfg.OnSettings(s)
	}
}

// stripNamespace keeps what a decision needs, so that memory does not grow with what others write into namespaces.
func stripNamespace(obj any) (any, error) {
	ns, ok := obj.(*corev1.Namespace)
	if !ok {
		return obj, nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: ns.Name, UID: ns.UID, ResourceVersion: ns.ResourceVersion, Labels: ns.Labels,
		Annotations: pick(ns.Annotations, names.AnnotationInjection, names.AnnotationMetrics),
	}}, nil
}

func pick(m map[string]string, keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out
}

func namespaceOf(ns *corev1.Namespace) podpatch.Namespace {
	return podpatch.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
}
