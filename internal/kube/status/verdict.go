package status

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	apistatus "openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Reasons of conditions that are not a finding's own.
const (
	ReasonAccepted    = "Accepted"
	ReasonWarnings    = "AcceptedWithWarnings"
	ReasonProgrammed  = "Programmed"
	ReasonNotAccepted = "NotAccepted"
	// ReasonPending marks objects that some proxy has not acknowledged yet.
	ReasonPending = "Pending"
	// ReasonNotSupported marks objects of kinds, and fields, that the control plane does not act on yet.
	ReasonNotSupported = "NotSupported"
)

// maxMessage bounds a condition's message; the API allows 32768 characters, but nobody reads that.
const maxMessage = 2000

// Object is one object to write a status to.
type Object struct {
	Ref      snapshot.ObjectRef
	Resource schema.GroupVersionResource
	// Generation is the metadata.generation the report is about; 0 when the object could not be read, so that
	// whichever is stored now is meant.
	Generation int64
	// EventOnly is for kinds whose status belongs to somebody else, such as a Service.
	EventOnly bool
}

// Report is what the control plane thinks of everything it looks at.
type Report struct {
	Objects  []Object
	Findings []snapshot.Finding
	// Waiting are objects that some proxy has not acknowledged yet.
	Waiting map[snapshot.ObjectRef]bool
}

// services are where Services are read.
var services = schema.GroupVersionResource{Version: "v1", Resource: "services"}

// ReportOn lists the MeshConfig, every policy object of a snapshot, and the unreadable ones and the Services that only
// findings know.
func ReportOn(config Object, policies snapshot.Policies, findings []snapshot.Finding) Report {
	r := Report{Objects: []Object{config}, Findings: findings}
	listed := map[snapshot.ObjectRef]bool{config.Ref: true}
	resources := map[string]schema.GroupVersionResource{snapshot.KindService: services}
	for _, k := range policy.Kinds() {
		resources[k.Name] = k.Resource
		for _, o := range policies[k.Name] {
			ref := snapshot.ObjectRef{Kind: k.Name, Namespace: o.GetNamespace(), Name: o.GetName()}
			listed[ref] = true
			r.Objects = append(r.Objects, Object{Ref: ref, Resource: k.Resource, Generation: o.GetGeneration()})
		}
	}
	for _, f := range findings {
		if resource, known := resources[f.Object.Kind]; known && !listed[f.Object] {
			listed[f.Object] = true
			r.Objects = append(r.Objects, Object{Ref: f.Object, Resource: resource, EventOnly: f.Object.Kind == snapshot.KindService})
		}
	}
	return r
}

// verdict is what goes into one object's status.
type verdict struct {
	Accepted, Programmed metav1.Condition
	// CurrentStatus and Reason are for the kinds that have them.
	CurrentStatus, Reason string
}

// judge turns the findings about one object into its verdict. An object in force with remarks is accepted; one that is
// ignored, or a part of which is, is not.
//
// What a proxy refuses is well-formed for all that is known here, so it is accepted and not programmed. waiting is whether
// some proxy has not acknowledged the object yet.
func judge(findings []snapshot.Finding, waiting bool) verdict {
	var errs, warnings, rejected []snapshot.Finding
	for _, f := range findings {
		switch {
		case f.Reason == rollout.ReasonRejected:
			rejected = append(rejected, f)
		case f.Severity == snapshot.Error:
			errs = append(errs, f)
		default:
			warnings = append(warnings, f)
		}
	}
	v := verdict{
		Accepted: metav1.Condition{Type: apistatus.ConditionAccepted, Status: metav1.ConditionTrue,
			Reason: ReasonAccepted, Message: "the object is well-formed and everything it refers to exists"},
		Programmed: metav1.Condition{Type: apistatus.ConditionProgrammed, Status: metav1.ConditionTrue,
			Reason: ReasonProgrammed, Message: "the object is part of the configuration that the proxies have acknowledged"},
		CurrentStatus: apistatus.CurrentStatusCommitted, Reason: apistatus.ReasonCommitted,
	}
	if len(warnings) > 0 {
		v.Accepted.Reason, v.Accepted.Message = ReasonWarnings, messages(warnings)
	}
	if len(errs) > 0 {
		v.Accepted.Status, v.Accepted.Reason, v.Accepted.Message = metav1.ConditionFalse, errs[0].Reason, messages(errs)
		v.Programmed.Status, v.Programmed.Reason = metav1.ConditionFalse, ReasonNotAccepted
		v.Programmed.Message = "the object, or a part of it, is not in force; see the condition Accepted"
		v.CurrentStatus, v.Reason = apistatus.CurrentStatusError, errs[0].Message
	}
	if ignored := ofReason(findings, ReasonNotSupported); len(ignored) > 0 {
		if len(errs) > 0 {
			v.Accepted.Reason = ReasonNotSupported
		}
		v.Programmed.Status, v.Programmed.Reason, v.Programmed.Message = metav1.ConditionFalse, ReasonNotSupported, messages(ignored)
	}
	if len(rejected) > 0 {
		v.Programmed.Status, v.Programmed.Reason, v.Programmed.Message = metav1.ConditionFalse, rollout.ReasonRejected, messages(rejected)
		v.CurrentStatus, v.Reason = apistatus.CurrentStatusError, rejected[0].Message
	} else if waiting && v.Programmed.Status == metav1.ConditionTrue {
		v.Programmed.Status, v.Programmed.Reason = metav1.ConditionUnknown, ReasonPending
		v.Programmed.Message = "some proxy has not acknowledged the object yet"
	}
	return v
}

func ofReason(findings []snapshot.Finding, reason string) []snapshot.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f snapshot.Finding) bool { return f.Reason != reason })
}

func messages(findings []snapshot.Finding) string {
	texts := make([]string, 0, len(findings))
	for _, f := range findings {
		texts = append(texts, f.Message)
	}
	out := strings.Join(texts, "; ")
	if len(out) > maxMessage {
		out = strings.ToValidUTF8(out[:maxMessage], "") + " …"
	}
	return out
}

// byObject groups findings.
func byObject(findings []snapshot.Finding) map[snapshot.ObjectRef][]snapshot.Finding {
	out := map[snapshot.ObjectRef][]snapshot.Finding{}
	for _, f := range findings {
		out[f.Object] = append(out[f.Object], f)
	}
	return out
}

func compareRefs(a, b snapshot.ObjectRef) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// hasSummary reports whether a kind's status has currentStatus and reason beside the conditions.
func hasSummary(kind string) bool {
	return kind == "IngressBackend" || kind == "UpstreamTrafficSetting" || kind == "Telemetry"
}
