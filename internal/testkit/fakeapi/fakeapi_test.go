package fakeapi

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func client(t *testing.T) (*Server, kubernetes.Interface) {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: s.URL, QPS: 1000, Burst: 1000})
	require.NoError(t, err)
	return s, kube
}

// A client of Kubernetes finds here what it expects of an API server: creation, selectors, patches, absence, deletion.
func TestObjects(t *testing.T) {
	s, kube := client(t)
	pods := kube.CoreV1().Pods("shop")
	for _, name := range []string{"b", "a"} {
		_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	require.True(t, apierrors.IsAlreadyExists(err), err)

	names := func(o metav1.ListOptions) (out []string) {
		list, err := kube.CoreV1().Pods("").List(t.Context(), o)
		require.NoError(t, err)
		for _, p := range list.Items {
			out = append(out, p.Namespace+"/"+p.Name)
		}
		return out
	}
	require.Equal(t, []string{"shop/a", "shop/b"}, names(metav1.ListOptions{}))
	require.Equal(t, []string{"shop/b"}, names(metav1.ListOptions{LabelSelector: "app in (b,c)"}))
	require.Equal(t, []string{"shop/a"}, names(metav1.ListOptions{FieldSelector: "metadata.name=a,metadata.namespace!=else"}))

	_, err = pods.Patch(t.Context(), "a", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"app":null,"x":"y"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	a, err := pods.Get(t.Context(), "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"x": "y"}, a.Labels)

	require.NoError(t, pods.Delete(t.Context(), "a", metav1.DeleteOptions{}))
	_, err = pods.Get(t.Context(), "a", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), err)
	require.EqualError(t, err, `pods "a" not found`)
	require.Equal(t, []string{"create pods shop/b", "create pods shop/a", "patch pods shop/a", "delete pods shop/a"}, s.Writes())

	s.Refuse("list", "pods", "no")
	_, err = pods.List(t.Context(), metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), err)
}

func TestWatch(t *testing.T) {
	s, kube := client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := kube.CoreV1().Pods("shop").Watch(ctx, metav1.ListOptions{LabelSelector: "app=x"})
	require.NoError(t, err)
	defer w.Stop()
	require.NoError(t, s.Load([]byte(`
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, labels: {app: x}}
`)))
	e, ok := <-w.ResultChan()
	require.True(t, ok)
	require.Equal(t, watch.Added, e.Type)
	require.Equal(t, "x", e.Object.(*corev1.Pod).Name)
}
