package v1alpha4

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// HTTPRouteGroup describes sets of HTTP requests by path, method and headers.
// TrafficTargets and Egresses refer to it; by itself it has no effect.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=httproutegroups,singular=httproutegroup,shortName=htr,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type HTTPRouteGroup struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec are the routes.
	// +optional
	Spec HTTPRouteGroupSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// HTTPRouteGroupList is a list of HTTPRouteGroup.
//
// +kubebuilder:object:root=true
type HTTPRouteGroupList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HTTPRouteGroup `json:"items"`
}

// HTTPRouteGroupSpec are routes.
type HTTPRouteGroupSpec struct {
	// matches are the routes.
	Matches []HTTPMatch `json:"matches"`
}

// HTTPMethod is an HTTP method, or `*` for all of them.
//
// +kubebuilder:validation:Enum="*";GET;HEAD;PUT;POST;DELETE;CONNECT;OPTIONS;TRACE;PATCH
type HTTPMethod string

// MethodAll is every method.
const MethodAll HTTPMethod = "*"

// HTTPMatch is a set of requests; all conditions have to hold.
type HTTPMatch struct {
	// name is what TrafficTargets call it by.
	Name string `json:"name"`

	// pathRegex is an RE2 expression for the whole path. Absent: every path.
	// +optional
	PathRegex string `json:"pathRegex,omitempty"`

	// methods are the methods. Absent: every method.
	// +optional
	Methods []HTTPMethod `json:"methods,omitempty"`

	// headers are conditions on headers, one map with one entry each: the
	// header's name and an RE2 expression for its whole value. `host` is the
	// request's authority.
	// +optional
	Headers []map[string]string `json:"headers,omitempty"`
}

// HeaderMatch is a condition on a header.
type HeaderMatch struct {
	// Name is the header's name as written.
	Name string
	// Regex is an RE2 expression for the whole value.
	Regex string
}

// HeaderMatches returns the conditions of Headers as one list, ordered by name
// and expression, without repetitions. All of them have to hold.
func (m *HTTPMatch) HeaderMatches() []HeaderMatch {
	var out []HeaderMatch
	for _, h := range m.Headers {
		for name, regex := range h {
			out = append(out, HeaderMatch{Name: name, Regex: regex})
		}
	}
	slices.SortFunc(out, func(a, b HeaderMatch) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Regex, b.Regex))
	})
	return slices.Compact(out)
}
