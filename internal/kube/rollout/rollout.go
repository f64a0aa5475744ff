package rollout

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"openservicemesh.io/osm/internal/core/names"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// Replica is one process of a control plane.
type Replica struct {
	Dynamic dynamic.Interface
	// Namespace and Deployment name what the process's pod belongs to, for example osm-system and osm-injector.
	Namespace, Deployment string
	// Version of the process, for example v1.3.0.
	Version string
}

// Stays reports whether the Deployment is to run this version. Without a Deployment, nothing says otherwise.
func (r Replica) Stays(ctx context.Context) (bool, error) {
	d, err := r.Dynamic.Resource(deployments).Namespace(r.Namespace).Get(ctx, r.Deployment, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read Deployment %s/%s, which says what version is to run: %w", r.Namespace, r.Deployment, err)
	}
	want := d.GetLabels()[names.LabelAppVersion]
	return want == "" || want == names.VersionLabel(r.Version), nil
}
