package crds

import (
	"context"
	"strings"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"openservicemesh.io/osm/internal/core/names"
)

// followPeriod is how soon a version that stays takes over what another version has left behind.
const followPeriod = 5 * time.Second

// Owner is on whose behalf definitions are written. They serve every mesh of the cluster and, while one is upgraded or taken
// back, two versions of it; each definition carries the mesh and the version that wrote it.
type Owner struct {
	Mesh, Version string
	// Reconcile marks the definitions as looked after by this version's reconciler.
	Reconcile bool
	// Stays reports whether this version is the one that the mesh's control plane is to run.
	Stays func(context.Context) (bool, error)
	// Gone means that the mesh has been removed: definitions that were its own are nobody's from now on.
	Gone bool
}

func (o Owner) labels() map[string]string {
	out := map[string]string{names.LabelAppName: names.AppName, names.LabelAppVersion: names.VersionLabel(o.Version)}
	if !o.Gone {
		out[names.LabelAppInstance] = o.Mesh
	}
	if o.Reconcile {
		out[names.LabelReconcile] = names.VersionLabel(o.Version)
	}
	return out
}

// mayWrite reports whether a definition that differs from this owner's is the owner's to write. Between versions of one mesh the
// version that stays writes, be it newer or older. Between meshes the newer one does: its definitions serve the older mesh
// too, for versions add.
func (o Owner) mayWrite(ctx context.Context, have *apiextv1.CustomResourceDefinition) (bool, error) {
	mesh, version := have.Labels[names.LabelAppInstance], have.Labels[names.LabelAppVersion]
	if version == "" { // written before definitions carried it, when a reconciler's mark was all there was
		version = have.Labels[names.LabelReconcile]
	}
	switch {
	case mesh != "" && mesh != o.Mesh:
		return newer(o.Version, version), nil
	case version == "" || version == names.VersionLabel(o.Version) || o.Gone:
		return true, nil
	}
	return o.Stays(ctx)
}

// newer reports whether version is newer than the one that a label names.
func newer(version, label string) bool {
	mine, err := utilversion.ParseSemantic(version)
	if err != nil {
		return false
	}
	theirs, err := utilversion.ParseSemantic(strings.ReplaceAll(label, "_", "+"))
	return err == nil && theirs.LessThan(mine)
}

// Follow takes over, until ctx ends, the definitions that another version wrote once this version is the one that stays: an
// upgrade that is rolled back need not start a pod of the older version again.
func (s *Set) Follow(ctx context.Context) {
	tick := time.NewTicker(followPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.takeOver(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("cannot take over custom resource definitions of another version, trying again", "error", err)
		}
	}
}

// takeOver looks at the definitions that another version wrote; as a rule there are none.
func (s *Set) takeOver(ctx context.Context) error {
	list, err := s.client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{
		LabelSelector: names.LabelAppName + "=" + names.AppName + "," + names.LabelAppVersion + "!=" + names.VersionLabel(s.owner.Version),
	})
	if err != nil {
		return err
	}
	others := map[string]bool{}
	for i := range list.Items {
		others[list.Items[i].Name] = list.Items[i].DeletionTimestamp == nil
	}
	return s.each(ctx, func(ctx context.Context, d *apiextv1.CustomResourceDefinition) error {
		if !others[d.Name] {
			return nil
		}
		_, err := s.apply(ctx, d)
		return err
	})
}
