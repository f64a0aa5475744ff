package check

import (
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Facts is what a cluster holds, at one moment.
type Facts struct {
	Now time.Time
	// Before is whether the mesh is still to be installed.
	Before bool
	// MeshName and Namespace are the mesh's that is meant.
	MeshName, Namespace string
	// Server is the API server's version, for example "v1.30.2".
	Server string
	// MissingRights are what the user may not create, of what an installation creates.
	MissingRights []string

	Nodes      []corev1.Node
	Namespaces []corev1.Namespace
	// Pods are those of the mesh's namespaces, and of the control plane's.
	Pods []corev1.Pod
	// Controllers are the Deployments of any mesh's controller; Deployments those of this mesh's control plane.
	Controllers []appsv1.Deployment
	Deployments []appsv1.Deployment
	// Ready is how many ready addresses stand behind each Service of the control plane.
	Ready map[string]int

	Definitions []Definition
	// Mutating and Validating are the webhook configurations of this mesh.
	Mutating   []admissionregv1.MutatingWebhookConfiguration
	Validating []admissionregv1.ValidatingWebhookConfiguration
	// CA is the mesh's root certificate in PEM; nil when its Secret, CASecret, is missing.
	CA       []byte
	CASecret string
	// Roots are the MeshRootCertificates; nil where the mesh does not take its roots from them.
	Roots []configv1alpha2.MeshRootCertificate
	// MeshConfig is nil when there is none.
	MeshConfig *configv1alpha2.MeshConfig

	// Findings are the problems of policies, Refused the policies that proxies refuse, by their status.
	Findings []snapshot.Finding
	Refused  []Condition
	// Proxies are the connected ones. ProxiesUnknown says why they are not known; empty when they are.
	Proxies        []adminapi.Proxy
	ProxiesUnknown string
	// Outages are the replicas of the controller that get no certificates.
	Outages []Outage
}

// Outage is a time in which a replica of the controller gets no certificates.
type Outage struct {
	Replica string
	adminapi.Outage
}

// Definition is a CustomResourceDefinition.
type Definition struct {
	Name        string
	Established bool
	Served      []string
	// Wanted are the versions this mesh needs; empty for a definition that it does not need.
	Wanted []string
}

// Condition is a status condition of a policy object.
type Condition struct {
	Object  snapshot.ObjectRef
	Message string
}
