package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the types in this package.
const GroupName = "config.openservicemesh.io"

// Kinds of this group and version.
const (
	KindMeshConfig          = "MeshConfig"
	KindMeshRootCertificate = "MeshRootCertificate"
	KindExtensionService    = "ExtensionService"
)

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha2"}

	// MeshConfigs is the resource that serves MeshConfig.
	MeshConfigs = GroupVersion.WithResource("meshconfigs")
	// MeshRootCertificates is the resource that serves MeshRootCertificate.
	MeshRootCertificates = GroupVersion.WithResource("meshrootcertificates")
	// ExtensionServices is the resource that serves ExtensionService.
	ExtensionServices = GroupVersion.WithResource("extensionservices")

	// SchemeBuilder collects the registration of this package's types.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme adds this package's types to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Resource qualifies a plural resource name with this package's group.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&MeshConfig{}, &MeshConfigList{},
		&MeshRootCertificate{}, &MeshRootCertificateList{},
		&ExtensionService{}, &ExtensionServiceList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
