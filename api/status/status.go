package status

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types that the control plane sets on every kind.
const (
	// ConditionAccepted is True when the object is well-formed and every object
	// it refers to exists; False when the object, or a part of it, is ignored.
	// The reason is a CamelCase word, the message names field, value and cure.
	ConditionAccepted = "Accepted"

	// ConditionProgrammed is True when every running proxy has acknowledged a
	// configuration with the object at ObservedGeneration, Unknown while one has
	// not answered; False when the object is ignored, when the control plane does
	// not act on the kind or on a field that is set, or when a proxy refuses what
	// the object shapes.
	ConditionProgrammed = "Programmed"
)

// Values of Summary.CurrentStatus.
const (
	// CurrentStatusCommitted says that the object is in force.
	CurrentStatusCommitted = "committed"
	// CurrentStatusError says that the object, or a part of it, is ignored.
	CurrentStatusError = "error"
)

// ReasonCommitted is the text of Summary.Reason that goes with CurrentStatusCommitted.
const ReasonCommitted = "successfully committed by the system"

// Status is what the control plane reports about an object of any kind.
type Status struct {
	// observedGeneration is the metadata.generation that the conditions
	// describe. Older than metadata.generation: the newest spec was not looked
	// at yet.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are what the control plane found, one entry per type
	// (Accepted, Programmed).
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Summary is the status of those kinds that have always shown one word and one
// sentence; conditions say the same in more detail.
type Summary struct {
	// currentStatus is `committed` when the object is in force, `error` when it
	// is not.
	// +optional
	CurrentStatus string `json:"currentStatus,omitempty"`

	// reason is a sentence that explains currentStatus.
	// +optional
	Reason string `json:"reason,omitempty"`

	Status `json:",inline"`
}
