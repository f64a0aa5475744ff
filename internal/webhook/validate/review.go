package validate

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/policy/meshrootcertificate"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/webhook/server"
)

// Validator judges admission requests.
type Validator struct {
	// Policies returns those of the newest snapshot; nil while there is none, and then objects are judged alone.
	Policies func() snapshot.Policies
	// Service tells whether the newest snapshot's mesh has a service; false while there is none.
	Service func(meshid.Service) bool
	// Signs tells whether certificates are issued from the root that a MeshRootCertificate of the control plane's namespace names.
	Signs func(name string) bool
}

// Review answers one request; it is a server.ReviewFunc. Only what is created or changed is judged: an object that is
// on its way out must not be held up, and kinds without rules are allowed.
func (v *Validator) Review(_ context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if req.Operation == admissionv1.Delete && req.Kind.Kind == meshrootcertificate.Kind && v.Signs(req.Name) {
		return server.Deny(meshrootcertificate.ErrSigning)
	}
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return server.Allow()
	}
	warnings, err := v.judge(req)
	if err != nil {
		return server.Deny(err)
	}
	resp := server.Allow()
	resp.Warnings = warnings
	for _, k := range policy.Kinds() {
		if k.Name == req.Kind.Kind && !k.Acts {
			resp.Warnings = append(resp.Warnings, fmt.Sprintf(
				"this version of the control plane does not act on %s objects yet; the object has no effect", k.Name))
		}
	}
	return resp
}

// judge says why an object is refused or, where it is not, what of it will have no effect.
func (v *Validator) judge(req *admissionv1.AdmissionRequest) ([]string, error) {
	policies := v.Policies()
	switch req.Kind.Kind {
	case traffictarget.Kind:
		return judgeAs(req, traffictarget.Validate, nil)
	case egress.Kind:
		return judgeAs(req, egress.Validate, func(o *policyv1.Egress) []string { return egress.Warnings(o, v.Service) })
	case ingressbackend.Kind:
		return judgeAs(req, func(o *policyv1.IngressBackend) error {
			return ingressbackend.Validate(o, snapshot.List[*policyv1.IngressBackend](policies, ingressbackend.Kind))
		}, nil)
	case meshrootcertificate.Kind:
		old, err := decodeOld(req)
		if err != nil {
			return nil, err
		}
		return judgeAs(req, func(o *config.MeshRootCertificate) error {
			return meshrootcertificate.Validate(o, old, snapshot.List[*config.MeshRootCertificate](policies, meshrootcertificate.Kind))
		}, nil)
	case upstreamtrafficsetting.Kind:
		return judgeAs(req, func(o *policyv1.UpstreamTrafficSetting) error {
			return upstreamtrafficsetting.Validate(o, snapshot.List[*policyv1.UpstreamTrafficSetting](policies, upstreamtrafficsetting.Kind), v.Service)
		}, upstreamtrafficsetting.Warnings)
	}
	return nil, nil
}

// decodeOld reads what an update changes; nil when the object is created.
func decodeOld(req *admissionv1.AdmissionRequest) (*config.MeshRootCertificate, error) {
	if req.Operation == admissionv1.Create {
		return nil, nil
	}
	old := &config.MeshRootCertificate{}
	if err := json.Unmarshal(req.OldObject.Raw, old); err != nil {
		return nil, fmt.Errorf("%s %s/%s as it was cannot be read: %w", req.Kind.Kind, req.Namespace, req.Name, err)
	}
	return old, nil
}

// judgeAs decodes the object and judges it. warn may be nil.
func judgeAs[T any, O interface {
	*T
	snapshot.Object
}](req *admissionv1.AdmissionRequest, validate func(O) error, warn func(O) []string) ([]string, error) {
	o := O(new(T))
	if err := json.Unmarshal(req.Object.Raw, o); err != nil {
		return nil, fmt.Errorf("%s %s/%s cannot be read: %w", req.Kind.Kind, req.Namespace, req.Name, err)
	}
	if o.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(req.Namespace)
	}
	if err := validate(o); err != nil || warn == nil {
		return nil, err
	}
	return warn(o), nil
}
