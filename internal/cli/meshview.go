package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/render"
)

// meshView is the mesh that a question is about: what a cluster holds, or what manifests would make of one.
type meshView struct {
	snap *snapshot.Snapshot
	view *pipeline.View
	// findings are of unusable objects and of policies, sorted.
	findings []snapshot.Finding
	// live are the objects of the cluster that it was made of, with their status; none for manifests.
	live []unstructured.Unstructured
}

// readMesh reads manifests where some are given, else the cluster.
func (a *app) readMesh(ctx context.Context, files []string) (*meshView, error) {
	var read manifests.Result
	var live []unstructured.Unstructured
	var err error
	if len(files) > 0 {
		read, err = manifests.Load(files, a.In, manifests.Options{Inject: true})
	} else {
		read, live, err = a.readCluster(ctx)
	}
	if err != nil {
		return nil, err
	}
	view, err := pipeline.New([]byte(render.PlaceholderRoots)).Apply(read.Snapshot, snapshot.Changed{Config: true})
	if err != nil {
		return nil, err
	}
	return &meshView{snap: read.Snapshot, view: view, live: live,
		findings: snapshot.SortFindings(slices.Concat(read.Findings, view.Findings()))}, nil
}

// readCluster reads every object that the control plane of the mesh in --osm-namespace reads.
func (a *app) readCluster(ctx context.Context) (manifests.Result, []unstructured.Unstructured, error) {
	cluster, err := a.Connect()
	if err != nil {
		return manifests.Result{}, nil, err
	}
	mesh, err := a.meshHere(ctx, cluster)
	if err != nil {
		return manifests.Result{}, nil, err
	}
	kinds := []schema.GroupVersionResource{
		corev1.SchemeGroupVersion.WithResource("namespaces"), corev1.SchemeGroupVersion.WithResource("services"),
		corev1.SchemeGroupVersion.WithResource("pods"), discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
		configv1alpha2.MeshConfigs,
	}
	for _, k := range policy.Kinds() {
		kinds = append(kinds, k.Resource)
	}
	var live []unstructured.Unstructured
	var docs bytes.Buffer
	for _, k := range kinds {
		list, err := cluster.Dynamic.Resource(k).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			a.debugf("the cluster has no %s", k.GroupResource())
			continue
		}
		if err != nil {
			return manifests.Result{}, nil, fmt.Errorf("cannot list %s in all namespaces: %w", k.GroupResource(), err)
		}
		live = append(live, list.Items...)
		for _, o := range list.Items {
			text, err := json.Marshal(o.Object)
			if err != nil {
				return manifests.Result{}, nil, err
			}
			docs.WriteString("---\n")
			docs.Write(append(text, '\n'))
		}
	}
	read, err := manifests.Read("cluster", &docs, manifests.Options{MeshName: mesh, OSMNamespace: a.namespace, Live: true})
	return read, live, err
}

// meshHere is the name of the mesh whose control plane is in --osm-namespace.
func (a *app) meshHere(ctx context.Context, cluster *Cluster) (string, error) {
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return "", err
	}
	var elsewhere []string
	for _, m := range meshes {
		if m.namespace == a.namespace {
			return m.name, nil
		}
		elsewhere = append(elsewhere, m.namespace)
	}
	if len(elsewhere) == 0 {
		return "", fmt.Errorf("no mesh is installed; install one (osm install), or read manifests with -f")
	}
	return "", fmt.Errorf("no mesh has its control plane in namespace %s; there is one in %s: name it with --osm-namespace",
		a.namespace, strings.Join(elsewhere, ", "))
}
