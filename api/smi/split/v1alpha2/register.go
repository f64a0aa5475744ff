package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the types in this package.
const GroupName = "split.smi-spec.io"

// KindTrafficSplit is the only kind of this group and version.
const KindTrafficSplit = "TrafficSplit"

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha2"}

	// TrafficSplits is the resource that serves TrafficSplit.
	TrafficSplits = GroupVersion.WithResource("trafficsplits")

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
	s.AddKnownTypes(GroupVersion, &TrafficSplit{}, &TrafficSplitList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	// Later versions have the same fields, so they are read into the same types.
	for _, version := range []string{"v1alpha3", "v1alpha4"} {
		gv := schema.GroupVersion{Group: GroupName, Version: version}
		s.AddKnownTypeWithName(gv.WithKind(KindTrafficSplit), &TrafficSplit{})
		s.AddKnownTypeWithName(gv.WithKind(KindTrafficSplit+"List"), &TrafficSplitList{})
		metav1.AddToGroupVersion(s, gv)
	}
	return nil
}
