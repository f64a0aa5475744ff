package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the types in this package.
const GroupName = "specs.smi-spec.io"

// Kinds of this group and version.
const (
	KindHTTPRouteGroup = "HTTPRouteGroup"
	KindTCPRoute       = "TCPRoute"
)

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha4"}

	// HTTPRouteGroups is the resource that serves HTTPRouteGroup.
	HTTPRouteGroups = GroupVersion.WithResource("httproutegroups")
	// TCPRoutes is the resource that serves TCPRoute.
	TCPRoutes = GroupVersion.WithResource("tcproutes")

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
		&HTTPRouteGroup{}, &HTTPRouteGroupList{},
		&TCPRoute{}, &TCPRouteList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
