package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the types in this package.
const GroupName = "policy.openservicemesh.io"

// Kinds of this group and version.
const (
	KindEgress                 = "Egress"
	KindIngressBackend         = "IngressBackend"
	KindRetry                  = "Retry"
	KindUpstreamTrafficSetting = "UpstreamTrafficSetting"
	KindTelemetry              = "Telemetry"
)

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

	// Egresses is the resource that serves Egress.
	Egresses = GroupVersion.WithResource("egresses")
	// IngressBackends is the resource that serves IngressBackend.
	IngressBackends = GroupVersion.WithResource("ingressbackends")
	// Retries is the resource that serves Retry.
	Retries = GroupVersion.WithResource("retries")
	// UpstreamTrafficSettings is the resource that serves UpstreamTrafficSetting.
	UpstreamTrafficSettings = GroupVersion.WithResource("upstreamtrafficsettings")
	// Telemetries is the resource that serves Telemetry.
	Telemetries = GroupVersion.WithResource("telemetries")

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
		&Egress{}, &EgressList{},
		&IngressBackend{}, &IngressBackendList{},
		&Retry{}, &RetryList{},
		&UpstreamTrafficSetting{}, &UpstreamTrafficSettingList{},
		&Telemetry{}, &TelemetryList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
