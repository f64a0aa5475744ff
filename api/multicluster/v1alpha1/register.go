package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the types in this package.
const GroupName = "multicluster.x-k8s.io"

// Kinds of this group and version.
const (
	KindServiceImport = "ServiceImport"
	KindServiceExport = "ServiceExport"
)

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

	// ServiceImports is the resource that serves ServiceImport.
	ServiceImports = GroupVersion.WithResource("serviceimports")
	// ServiceExports is the resource that serves ServiceExport.
	ServiceExports = GroupVersion.WithResource("serviceexports")

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
		&ServiceImport{}, &ServiceImportList{},
		&ServiceExport{}, &ServiceExportList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
