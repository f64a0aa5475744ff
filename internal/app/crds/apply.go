package crds

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"golang.org/x/sync/errgroup"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	definitions "openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/internal/core/names"
)

// parallel bounds the definitions in flight at once.
const parallel = 8

// Set is the mesh's definitions and how they are put into a cluster.
type Set struct {
	wanted []*apiextv1.CustomResourceDefinition
	client apiext.Interface
	owner  Owner
	log    *slog.Logger
}

// NewSet labels the definitions as the owner's.
func NewSet(client apiext.Interface, owner Owner, log *slog.Logger) (*Set, error) {
	wanted, err := definitions.All()
	if err != nil {
		return nil, fmt.Errorf("embedded definition %w", err)
	}
	for _, d := range wanted {
		if d.Labels == nil {
			d.Labels = map[string]string{}
		}
		maps.Copy(d.Labels, owner.labels())
		// What the API server fills in is filled in here, so that an equal definition is recognised as equal.
		apiextv1.SetObjectDefaults_CustomResourceDefinition(d)
	}
	return &Set{wanted: wanted, client: client, owner: owner, log: log}, nil
}

// Apply creates each definition, or overwrites the spec of the one that is there if it is the owner's to write. Equal
// definitions are not written. Any number of processes may apply at once. The error names the definition.
func (s *Set) Apply(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, d *apiextv1.CustomResourceDefinition) error {
		_, err := s.apply(ctx, d)
		return err
	})
}

// Replace is Apply for the definitions that are there; missing ones stay missing.
func (s *Set) Replace(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, d *apiextv1.CustomResourceDefinition) error {
		_, err := s.overwrite(ctx, d)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (s *Set) each(ctx context.Context, do func(context.Context, *apiextv1.CustomResourceDefinition) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, d := range s.wanted {
		g.Go(func() error {
			if err := do(ctx, d); err != nil {
				return fmt.Errorf("CustomResourceDefinition %s: %w", d.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// apply reports whether it wrote.
func (s *Set) apply(ctx context.Context, d *apiextv1.CustomResourceDefinition) (bool, error) {
	wrote, err := s.overwrite(ctx, d)
	if !apierrors.IsNotFound(err) {
		return wrote, err
	}
	_, err = s.client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, d.DeepCopy(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // another replica was faster; its definition may be another version's
		return s.overwrite(ctx, d)
	}
	if err == nil {
		s.log.Info("created a custom resource definition", "name", d.Name)
	}
	return err == nil, err
}

func (s *Set) overwrite(ctx context.Context, d *apiextv1.CustomResourceDefinition) (wrote bool, err error) {
	crds := s.client.ApiextensionsV1().CustomResourceDefinitions()
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := crds.Get(ctx, d.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if s.same(have, d) {
			return nil
		}
		if mine, err := s.owner.mayWrite(ctx, have); !mine {
			return err
		}
		next := have.DeepCopy()
		next.Spec = *d.Spec.DeepCopy()
		if next.Labels == nil {
			next.Labels = map[string]string{}
		}
		if s.owner.Gone {
			delete(next.Labels, names.LabelAppInstance)
		}
		maps.Copy(next.Labels, d.Labels)
		if _, err = crds.Update(ctx, next, metav1.UpdateOptions{}); err == nil {
			wrote = true
			s.log.Info("overwrote a custom resource definition", "name", d.Name)
		}
		return err
	})
	return wrote, err
}

// same compares what the mesh decides: the spec and its own labels.
func (s *Set) same(have, want *apiextv1.CustomResourceDefinition) bool {
	if s.owner.Gone && have.Labels[names.LabelAppInstance] != "" {
		return false
	}
	for k, v := range want.Labels {
		if have.Labels[k] != v {
			return false
		}
	}
	return equality.Semantic.DeepEqual(have.Spec, want.Spec)
}
