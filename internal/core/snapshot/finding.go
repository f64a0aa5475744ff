package snapshot

import (
	"cmp"
	"slices"
)

// Severity orders findings.
type Severity string

// Error: the object (or a part of it) is not in force. Warning: it is in force but probably not as its author meant.
const (
	Error   Severity = "Error"
	Warning Severity = "Warning"
)

// Kinds of objects that shape configuration and are no policies.
const (
	KindService    = "Service"
	KindMeshConfig = "MeshConfig"
)

// ObjectRef names the object a finding is about.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns "<kind> <namespace>/<name>".
func (r ObjectRef) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Finding is a problem as a value. It feeds status conditions, events, the CLI, the webhook, error codes and metrics;
// the core never logs.
type Finding struct {
	Object   ObjectRef `json:"object"`
	Severity Severity  `json:"severity"`
	// Reason is one CamelCase word, as status conditions want it.
	Reason string `json:"reason"`
	// Code is the OSM error code, for example "E2005", or empty.
	Code string `json:"code,omitempty"`
	// Message names the field, the value and the cure.
	Message string `json:"message"`
}

// Compare orders findings by object, reason and message.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(
		cmp.Compare(f.Object.Kind, o.Object.Kind), cmp.Compare(f.Object.Namespace, o.Object.Namespace),
		cmp.Compare(f.Object.Name, o.Object.Name), cmp.Compare(f.Reason, o.Reason), cmp.Compare(f.Message, o.Message))
}

// SortFindings sorts and removes duplicates.
func SortFindings(list []Finding) []Finding {
	slices.SortFunc(list, Finding.Compare)
	return slices.Compact(list)
}
