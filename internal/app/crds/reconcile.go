package crds

import (
	"context"

	informers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Reconcile restores definitions that somebody edits or deletes, until ctx ends; restored is called after each. What is
// another version's or another mesh's is left to it: an upgrade must not be undone.
func (s *Set) Reconcile(ctx context.Context, restored func()) {
	inf := informers.NewFilteredCustomResourceDefinitionInformer(s.client, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.LabelSelector = names.LabelAppName + "=" + names.AppName
	})
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	add := func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			queue.Add(key)
		}
	}
	_, _ = inf.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only on an informer that has stopped
		UpdateFunc: func(_, obj any) { add(obj) },
		DeleteFunc: add,
	})
	go inf.RunWithContext(ctx)
	go func() { <-ctx.Done(); queue.ShutDown() }()
	for {
		name, stop := queue.Get()
		if stop {
			return
		}
		s.restoreQueued(ctx, queue, name, restored)
	}
}

func (s *Set) restoreQueued(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], name string, restored func()) {
	defer queue.Done(name)
	wrote, deleted, err := s.restore(ctx, name)
	if err != nil {
		if ctx.Err() == nil {
			code := errcode.ReconcilingUpdatedCRD
			if deleted {
				code = errcode.ReconcilingDeletedCRD
			}
			s.log.Error("cannot restore a custom resource definition", "error", errcode.Errorf(code, "CustomResourceDefinition %s: %w", name, err))
			queue.AddRateLimited(name)
		}
		return
	}
	queue.Forget(name)
	if wrote {
		s.log.Warn("restored a custom resource definition that was changed or deleted", "name", name)
		restored()
	}
}

func (s *Set) restore(ctx context.Context, name string) (wrote, deleted bool, err error) {
	want := s.find(name)
	if want == nil {
		return false, false, nil
	}
	have, err := s.client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, false, err
	}
	deleted = err != nil
	if !deleted && have.DeletionTimestamp != nil {
		return false, false, nil
	}
	wrote, err = s.apply(ctx, want)
	return wrote, deleted, err
}
