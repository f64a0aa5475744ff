package crds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	v1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/version"
)

// MeshRootCertificate is the name of the MeshRootCertificate that osm-bootstrap makes.
const MeshRootCertificate = "osm-mesh-root-certificate"

// Installation names what one installation of the mesh leaves behind.
type Installation struct {
	MeshName, Namespace, ConfigName, CABundleSecret string
}

// Cleanup is what runs after the chart's objects are gone: it restores the definitions that are not another mesh's (so that
// policies stay readable and a later installation finds them as they should be) and deletes what the control plane made at run time: its
// MeshConfig, its MeshRootCertificate, the root's Secret, the leader's Lease and the webhook configurations. What is
// gone already is no error; one failure does not keep the others from being tried.
func Cleanup(ctx context.Context, c Clients, in Installation, log *slog.Logger) error {
	set, err := NewSet(c.CRDs, Owner{Mesh: in.MeshName, Version: version.Version, Gone: true}, log)
	if err != nil {
		return err
	}
	configs := c.Dynamic.Resource(v1alpha2.MeshConfigs).Namespace(in.Namespace)
	steps := []struct {
		what string
		do   func() error
	}{
		{"webhook configurations", func() error { return deleteWebhooks(ctx, c, in.MeshName) }},
		{"custom resource definitions", func() error { return set.Replace(ctx) }},
		{"MeshConfig " + in.Namespace + "/" + in.ConfigName, func() error {
			return configs.Delete(ctx, in.ConfigName, metav1.DeleteOptions{})
		}},
		{"MeshRootCertificates of " + in.Namespace, func() error { return deleteRoots(ctx, c, in.Namespace) }},
		{"Secret " + in.Namespace + "/" + in.CABundleSecret, func() error {
			return c.Core.CoreV1().Secrets(in.Namespace).Delete(ctx, in.CABundleSecret, metav1.DeleteOptions{})
		}},
		{"Lease " + in.Namespace + "/" + leaseName(in.MeshName), func() error {
			return c.Core.CoordinationV1().Leases(in.Namespace).Delete(ctx, leaseName(in.MeshName), metav1.DeleteOptions{})
		}},
	}
	var failed []error
	for _, s := range steps {
		switch err := s.do(); {
		case apierrors.IsNotFound(err):
			log.Info("nothing to do: gone already", "what", s.what)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", s.what, err))
		default:
			log.Info("done", "what", s.what)
		}
	}
	return errors.Join(failed...)
}

// leaseName is the leader's Lease of the status writer.
func leaseName(mesh string) string { return names.Controller + "-" + mesh }

// deleteWebhooks finds them by label: their names can be chosen by the user. The version is left out of the selector,
// so that one that an older version made goes too.
func deleteWebhooks(ctx context.Context, c Clients, mesh string) error {
	of := func(app string) metav1.ListOptions {
		return metav1.ListOptions{LabelSelector: labels.Set{
			names.LabelAppName: names.AppName, names.LabelAppInstance: mesh, names.LabelApp: app,
		}.String()}
	}
	var failed []error
	mutating := c.Core.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if list, err := mutating.List(ctx, of(names.Injector)); err != nil {
		failed = append(failed, err)
	} else {
		for i := range list.Items {
			failed = append(failed, notFoundIsFine(mutating.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{})))
		}
	}
	validating := c.Core.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if list, err := validating.List(ctx, of(names.Controller)); err != nil {
		failed = append(failed, err)
	} else {
		for i := range list.Items {
			failed = append(failed, notFoundIsFine(validating.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{})))
		}
	}
	return errors.Join(failed...)
}

// deleteRoots deletes the MeshRootCertificates and those of their Secrets that the mesh made: a later mesh must not begin with roots
// of this one. Secrets that users brought stay.
func deleteRoots(ctx context.Context, c Clients, namespace string) error {
	roots, secrets := c.Dynamic.Resource(v1alpha2.MeshRootCertificates).Namespace(namespace), c.Core.CoreV1().Secrets(namespace)
	list, err := roots.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for i := range list.Items {
		name, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "provider", "tresor", "ca", "secretRef", "name")
		if s, err := secrets.Get(ctx, name, metav1.GetOptions{}); name != "" && err == nil && s.Labels[names.LabelAppName] == names.AppName {
			failed = append(failed, notFoundIsFine(secrets.Delete(ctx, name, metav1.DeleteOptions{})))
		}
		failed = append(failed, notFoundIsFine(roots.Delete(ctx, list.Items[i].GetName(), metav1.DeleteOptions{})))
	}
	return errors.Join(failed...)
}

func notFoundIsFine(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
