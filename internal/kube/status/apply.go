package status

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	apistatus "openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/rollout"
)

// change says what applying a verdict did to an object.
type change struct {
	// Written is whether the status has to be sent.
	Written bool
	// Told is whether users should hear of it: the verdict itself is another, and not just a first "all is well".
	Told bool
}

// apply puts a verdict into an object's status, keeping transition times of conditions that stay and everything else the
// status holds.
func apply(u *unstructured.Unstructured, kind string, v verdict) (change, error) {
	before, _, err := unstructured.NestedMap(u.Object, "status")
	if err != nil {
		before = nil // a status that is no map can only be replaced
	}
	after := runtime.DeepCopyJSON(before)
	if after == nil {
		after = map[string]any{}
	}
	var conditions []metav1.Condition
	if raw, ok := after["conditions"]; ok {
		holder := struct {
			Conditions []metav1.Condition `json:"conditions"`
		}{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"conditions": raw}, &holder); err == nil {
			conditions = holder.Conditions
		}
	}
	accepted, programmed := condition(conditions, apistatus.ConditionAccepted), condition(conditions, apistatus.ConditionProgrammed)
	for _, c := range []metav1.Condition{v.Accepted, v.Programmed} {
		c.ObservedGeneration = u.GetGeneration()
		meta.SetStatusCondition(&conditions, c)
	}
	list := make([]any, 0, len(conditions))
	for i := range conditions {
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&conditions[i])
		if err != nil {
			return change{}, fmt.Errorf("status of %s: %w", u.GetName(), err)
		}
		list = append(list, m)
	}
	after["conditions"], after["observedGeneration"] = list, u.GetGeneration()
	if hasSummary(kind) {
		after["currentStatus"], after["reason"] = v.CurrentStatus, v.Reason
	}
	if equality.Semantic.DeepEqual(before, after) {
		return change{}, nil
	}
	u.Object["status"] = after
	return change{Written: true, Told: told(accepted, programmed, v)}, nil
}

// told reports whether users should hear of a verdict, after the conditions there were.
func told(accepted, programmed metav1.Condition, v verdict) bool {
	wasRejected, isRejected := programmed.Reason == rollout.ReasonRejected, v.Programmed.Reason == rollout.ReasonRejected
	if isRejected && (!wasRejected || programmed.Message != v.Programmed.Message) || wasRejected && v.Programmed.Status == metav1.ConditionTrue {
		return true
	}
	now := v.Accepted
	same := accepted.Status == now.Status && accepted.Reason == now.Reason && accepted.Message == now.Message
	wasFine := accepted.Status == "" || accepted.Status == metav1.ConditionTrue
	return !same && (now.Reason != ReasonAccepted || !wasFine)
}

func condition(list []metav1.Condition, name string) metav1.Condition {
	if c := meta.FindStatusCondition(list, name); c != nil {
		return *c
	}
	return metav1.Condition{}
}
