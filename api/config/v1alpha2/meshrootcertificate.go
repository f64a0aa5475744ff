package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MeshRootCertificateName is the name of the object that osm-bootstrap makes
// from the preset.
const MeshRootCertificateName = "osm-mesh-root-certificate"

// MeshRootCertificate is one root of trust of the mesh and who issues from it.
// Two may be in use at a time while the root is rotated.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=meshrootcertificates,singular=meshrootcertificate,shortName=mrc,scope=Namespaced
// +kubebuilder:printcolumn:name=Role,type=string,JSONPath=`.spec.role`,description="Role of this root in the mesh"
// +kubebuilder:printcolumn:name=State,type=string,JSONPath=`.status.state`,description="State of this root"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type MeshRootCertificate struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wanted root of trust.
	// +optional
	Spec MeshRootCertificateSpec `json:"spec,omitzero"`

	// status is written by the control plane. Its schema is open.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Status MeshRootCertificateStatus `json:"status,omitzero"`
}

// MeshRootCertificateList is a list of MeshRootCertificate.
//
// +kubebuilder:object:root=true
type MeshRootCertificateList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MeshRootCertificate `json:"items"`
}

// MeshRootCertificateRole is what a root is used for.
//
// +kubebuilder:validation:Enum=passive;active;inactive
// +kubebuilder:validation:XValidation:rule="self == oldSelf || self == 'passive' || oldSelf == 'passive'",message="a role does not change from active to inactive, or back, in one step: give it the role passive first, and wait until status.state is passive"
type MeshRootCertificateRole string

// Roles of a root.
const (
	// RolePassive roots are trusted but do not issue.
	RolePassive MeshRootCertificateRole = "passive"
	// RoleActive roots are trusted and issue.
	RoleActive MeshRootCertificateRole = "active"
	// RoleInactive roots are not used.
	RoleInactive MeshRootCertificateRole = "inactive"
)

// States of a root: the values of status.state.
const (
	// RootValidatingRollout: it is being made known to all who verify.
	RootValidatingRollout = "validatingRollout"
	// RootPassive: everybody trusts it, and nothing is issued from it.
	RootPassive = "passive"
	// RootIssuingRollout: it issues, and replaces certificates of others.
	RootIssuingRollout = "issuingRollout"
	// RootActive: every certificate in use is issued from it.
	RootActive = "active"
	// RootIssuingRollback: another issues, and certificates of this one may be
	// in use.
	RootIssuingRollback = "issuingRollback"
	// RootInactive: nobody trusts it.
	RootInactive = "inactive"
	// RootError: it cannot be used; the condition Accepted says why.
	RootError = "error"
)

// Stages of a user of certificates: values of status.componentStatuses and of
// status.replicas' stage.
const (
	StageUnused     = "unused"
	StageUnknown    = "unknown"
	StageValidating = "validating"
	StageIssuing    = "issuing"
)

// MeshRootCertificateSpec is a root of trust and its issuer.
type MeshRootCertificateSpec struct {
	// trustDomain is the last part of every identity, `<service
	// account>.<namespace>.<trust domain>`.
	// +kubebuilder:default=cluster.local
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed; create a new MeshRootCertificate and rotate to it"
	// +optional
	TrustDomain string `json:"trustDomain,omitempty"`

	// role says what the root is used for.
	Role MeshRootCertificateRole `json:"role"`

	// spiffeEnabled adds a SPIFFE ID to the certificates.
	// +kubebuilder:default=false
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed; create a new MeshRootCertificate and rotate to it"
	// +optional
	SpiffeEnabled bool `json:"spiffeEnabled"`

	// provider is who issues; exactly one of its fields is set.
	Provider ProviderSpec `json:"provider"`
}

// ProviderSpec is who issues certificates; exactly one field is set.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed; create a new MeshRootCertificate and rotate to it"
type ProviderSpec struct {
	// tresor issues in the control plane, from a root kept in a Secret.
	// +optional
	Tresor *TresorProviderSpec `json:"tresor,omitempty"`

	// vault issues through the PKI engine of a Vault server.
	// +optional
	Vault *VaultProviderSpec `json:"vault,omitempty"`

	// certManager issues through cert-manager.
	// +optional
	CertManager *CertManagerProviderSpec `json:"certManager,omitempty"`
}

// TresorProviderSpec is the built-in issuer.
type TresorProviderSpec struct {
	// ca is the root.
	CA TresorCASpec `json:"ca"`
}

// TresorCASpec says where the root is kept.
type TresorCASpec struct {
	// secretRef names the Secret with the root's certificate and key; it is
	// made when it does not exist.
	SecretRef SecretReference `json:"secretRef"`
}

// VaultProviderSpec is a Vault server.
type VaultProviderSpec struct {
	// host is the server's host name.
	Host string `json:"host"`

	// port is the server's port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int `json:"port"`

	// role is the role of the PKI engine.
	Role string `json:"role"`

	// protocol is http or https.
	// +kubebuilder:validation:Enum=http;https
	Protocol string `json:"protocol"`

	// token is what authenticates the control plane.
	Token VaultTokenSpec `json:"token"`
}

// VaultTokenSpec says where the token is kept.
type VaultTokenSpec struct {
	// secretKeyRef names a key of a Secret.
	SecretKeyRef SecretKeyReference `json:"secretKeyRef"`
}

// SecretKeyReference names a key of a Secret.
type SecretKeyReference struct {
	// name is the Secret's name.
	Name string `json:"name"`

	// key is the key in the Secret's data.
	Key string `json:"key"`

	// namespace is the Secret's namespace.
	Namespace string `json:"namespace"`
}

// CertManagerProviderSpec is an issuer of cert-manager.
type CertManagerProviderSpec struct {
	// issuerName is the issuer's name.
	IssuerName string `json:"issuerName"`

	// issuerKind is Issuer or ClusterIssuer.
	// +kubebuilder:validation:Enum=Issuer;ClusterIssuer
	IssuerKind string `json:"issuerKind"`

	// issuerGroup is the issuer's API group.
	IssuerGroup string `json:"issuerGroup"`
}

// MeshRootCertificateStatus is how far a root's use has come. The control plane
// keeps in it all that its replicas have to agree on.
type MeshRootCertificateStatus struct {
	// state is one word for the whole: validatingRollout, passive,
	// issuingRollout, active, issuingRollback, inactive or error.
	// +optional
	State string `json:"state,omitempty"`

	// transitionAfter is the earliest time of the next step of a rotation.
	// +optional
	TransitionAfter *metav1.Time `json:"transitionAfter,omitempty"`

	// componentStatuses is how far each user of certificates has come.
	// +optional
	ComponentStatuses MeshRootCertificateComponentStatuses `json:"componentStatuses,omitzero"`

	// root names the root by its content: the first 16 hexadecimal digits of
	// the SHA-256 of its DER form.
	// +optional
	Root string `json:"root,omitempty"`

	// signingSince is when certificates began to be issued from this root. Of
	// all objects the one with the newest time issues.
	// +optional
	SigningSince *metav1.Time `json:"signingSince,omitempty"`

	// replicas is, by the name of a pod of the control plane, how far it has
	// come with this root.
	// +optional
	Replicas map[string]MeshRootCertificateReplica `json:"replicas,omitempty"`

	// formerRoots are roots that issued before this one, as long as
	// certificates of theirs may be in use.
	// +optional
	FormerRoots []MeshRootCertificateFormerRoot `json:"formerRoots,omitempty"`

	// crossCertificates are PEM certificates of this root's key that its
	// predecessors signed: what trusts a predecessor alone accepts
	// certificates of this root by them.
	// +optional
	CrossCertificates string `json:"crossCertificates,omitempty"`

	// observedGeneration is the metadata.generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are what the control plane found, one entry per type.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MeshRootCertificateReplica is how far one pod of the control plane, and all
// it can tell, have come with a root.
type MeshRootCertificateReplica struct {
	// component is osm-controller or osm-injector.
	Component string `json:"component"`

	// stage is validating or issuing.
	Stage string `json:"stage"`

	// proxies is how many proxies hold a certificate of the root.
	// +optional
	Proxies int `json:"proxies,omitempty"`
}

// MeshRootCertificateFormerRoot is a root that issued before.
type MeshRootCertificateFormerRoot struct {
	// root names it, as status.root does.
	Root string `json:"root"`

	// certificate is PEM, maybe several.
	Certificate string `json:"certificate"`

	// trustedUntil is when the last certificate it issued has ended.
	TrustedUntil metav1.Time `json:"trustedUntil"`
}

// MeshRootCertificateComponentStatuses is one word per user of certificates.
type MeshRootCertificateComponentStatuses struct {
	// +optional
	ValidatingWebhook string `json:"validatingWebhook,omitempty"`
	// +optional
	MutatingWebhook string `json:"mutatingWebhook,omitempty"`
	// +optional
	XDSControlPlane string `json:"xdsControlPlane,omitempty"`
	// +optional
	Sidecar string `json:"sidecar,omitempty"`
	// +optional
	Bootstrap string `json:"bootstrap,omitempty"`
	// +optional
	Gateway string `json:"gateway,omitempty"`
}
