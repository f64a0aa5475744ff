package v1alpha1

// Reference names another object in the namespace of the one it is part of.
type Reference struct {
	// apiGroup is group and version of the object, e.g.
	// specs.smi-spec.io/v1alpha4.
	// +kubebuilder:validation:MaxLength=1024
	APIGroup string `json:"apiGroup"`

	// kind is the object's kind.
	// +kubebuilder:validation:MaxLength=1024
	Kind string `json:"kind"`

	// name is the object's name.
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name"`
}
