package meshrootcertificate

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func object(name string, role config.MeshRootCertificateRole, change ...func(*config.MeshRootCertificate)) *config.MeshRootCertificate {
	o := &config.MeshRootCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: name}}
	o.Spec.Role, o.Spec.TrustDomain = role, "cluster.local"
	o.Spec.Provider.Tresor = &config.TresorProviderSpec{CA: config.TresorCASpec{SecretRef: config.SecretReference{Name: "s", Namespace: "osm-system"}}}
	for _, c := range change {
		c(o)
	}
	return o
}

func TestValidate(t *testing.T) {
	active := object("old", config.RoleActive)
	elsewhere := object("old", config.RoleActive, func(o *config.MeshRootCertificate) { o.Namespace = "other" })
	leaving := object("old", config.RoleActive, func(o *config.MeshRootCertificate) { o.DeletionTimestamp = &metav1.Time{} })
	tests := []struct {
		name   string
		o, old *config.MeshRootCertificate
		others []*config.MeshRootCertificate
		want   string
	}{
		{name: "the first", o: object("new", config.RoleActive)},
		{name: "a second active one", o: object("new", config.RoleActive), others: []*config.MeshRootCertificate{active},
			want: "cannot create MRC osm-system/new with active role. An MRC with this role already exists in the control plane namespace. "},
		{name: "one of another namespace, and one that goes", o: object("new", config.RoleActive), others: []*config.MeshRootCertificate{elsewhere, leaving}},
		{name: "a passive one", o: object("new", config.RolePassive), others: []*config.MeshRootCertificate{active}},
		{name: "passive to active", o: object("new", config.RoleActive), old: object("new", config.RolePassive), others: []*config.MeshRootCertificate{active}},
		{name: "active to inactive", o: object("a", config.RoleInactive), old: active,
			want: "cannot update MRC osm-system/a from role active to inactive. Give it the role passive first, and wait until its status.state is passive"},
		{name: "inactive to active", o: object("a", config.RoleActive), old: object("a", config.RoleInactive),
			want: "cannot update MRC osm-system/a from role inactive to active. Give it the role passive first, and wait until its status.state is passive"},
		{name: "inactive to passive", o: object("a", config.RolePassive), old: object("a", config.RoleInactive)},
		{name: "trust domain", o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.TrustDomain = "x" }), old: active,
			want: "cannot update trust domain for MRC osm-system/a. Create a new MRC and initiate root certificate rotation to update the trust domain"},
		{name: "SPIFFE", o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.SpiffeEnabled = true }), old: active,
			want: "cannot update SpiffeEnabled for MRC osm-system/a. Create a new MRC and initiate root certificate rotation to update it"},
		{name: "provider", o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.Provider.Tresor.CA.SecretRef.Name = "x" }), old: active,
			want: "cannot update certificate provider settings for MRC osm-system/a. Create a new MRC and initiate root certificate rotation to update the provider"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Validate(tt.o, tt.old, tt.others)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestCheck(t *testing.T) {
	on := snapshot.Mesh{Namespace: "osm-system", TrustDomain: "cluster.local", FeatureFlags: map[string]bool{Flag: true}}
	off := snapshot.Mesh{Namespace: "osm-system", TrustDomain: "cluster.local"}
	tests := []struct {
		name   string
		mesh   snapshot.Mesh
		o      *config.MeshRootCertificate
		reason string
		want   string
	}{
		{name: "fine", mesh: on, o: object("a", config.RoleActive)},
		{name: "flag off", mesh: off, o: object("a", config.RoleActive), reason: "NotSupported", want: "enableMeshRootCertificate is not true"},
		{name: "elsewhere", mesh: on, o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Namespace = "shop" }), reason: "OtherNamespace", want: `make it in "osm-system"`},
		{name: "trust domain", mesh: on, o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.TrustDomain = "x" }), reason: "OtherTrustDomain", want: `"x" is not the mesh's, "cluster.local"`},
		{name: "secret elsewhere", mesh: on, o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.Provider.Tresor.CA.SecretRef.Namespace = "shop" }), reason: "SecretElsewhere", want: `"shop" is not the control plane's namespace`},
		{name: "no secret", mesh: on, o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.Provider.Tresor.CA.SecretRef.Name = "" }), reason: "NoSecret", want: "name a Secret"},
		{name: "SPIFFE", mesh: on, o: object("a", config.RoleActive, func(o *config.MeshRootCertificate) { o.Spec.SpiffeEnabled = true }), reason: "NotSupported", want: "spec.spiffeEnabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Check([]*config.MeshRootCertificate{tt.o}, tt.mesh)
			if tt.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, tt.reason, got[0].Reason)
			require.Contains(t, got[0].Message, tt.want)
		})
	}
}
