package policy

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	multicluster "openservicemesh.io/osm/api/multicluster/v1alpha1"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/policy/meshrootcertificate"
	"openservicemesh.io/osm/internal/core/policy/retry"
	"openservicemesh.io/osm/internal/core/policy/routegroup"
	"openservicemesh.io/osm/internal/core/policy/tcproute"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is one kind of policy object.
type Kind struct {
	// Name is the Kubernetes kind, for example "TrafficTarget".
	Name string
	// Resource is the version the control plane reads.
	Resource schema.GroupVersionResource
	// New makes an empty object of the kind.
	New func() snapshot.Object
	// Acts is whether this version of the control plane acts on the kind. Objects of a kind it does not act on are
	// accepted by the API server and get a finding that says so; they are never silently without effect.
	Acts bool
}

// Kinds lists every policy kind, in the order users meet them. MeshConfig is not among them: it configures the mesh.
func Kinds() []Kind {
	return []Kind{
		{traffictarget.Kind, access.TrafficTargets, func() snapshot.Object { return &access.TrafficTarget{} }, true},
		{routegroup.Kind, specs.HTTPRouteGroups, func() snapshot.Object { return &specs.HTTPRouteGroup{} }, true},
		{tcproute.Kind, specs.TCPRoutes, func() snapshot.Object { return &specs.TCPRoute{} }, true},
		{trafficsplit.Kind, split.TrafficSplits, func() snapshot.Object { return &split.TrafficSplit{} }, true},
		{egress.Kind, policyv1.Egresses, func() snapshot.Object { return &policyv1.Egress{} }, true},
		{ingressbackend.Kind, policyv1.IngressBackends, func() snapshot.Object { return &policyv1.IngressBackend{} }, true},
		{retry.Kind, policyv1.Retries, func() snapshot.Object { return &policyv1.Retry{} }, true},
		{upstreamtrafficsetting.Kind, policyv1.UpstreamTrafficSettings, func() snapshot.Object { return &policyv1.UpstreamTrafficSetting{} }, true},
		{"Telemetry", policyv1.Telemetries, func() snapshot.Object { return &policyv1.Telemetry{} }, false},
		{meshrootcertificate.Kind, config.MeshRootCertificates, func() snapshot.Object { return &config.MeshRootCertificate{} }, true},
		{"ExtensionService", config.ExtensionServices, func() snapshot.Object { return &config.ExtensionService{} }, false},
		{"ServiceImport", multicluster.ServiceImports, func() snapshot.Object { return &multicluster.ServiceImport{} }, false},
		{"ServiceExport", multicluster.ServiceExports, func() snapshot.Object { return &multicluster.ServiceExport{} }, false},
	}
}

// NotSupported lists a finding for every object of a kind the control plane does not act on.
func NotSupported(p snapshot.Policies) []snapshot.Finding {
	var out []snapshot.Finding
	for _, k := range Kinds() {
		if k.Acts {
			continue
		}
		for _, o := range p[k.Name] {
			out = append(out, snapshot.Finding{
				Object:   snapshot.ObjectRef{Kind: k.Name, Namespace: o.GetNamespace(), Name: o.GetName()},
				Severity: snapshot.Error, Reason: "NotSupported",
				Message: "this version of the control plane does not act on " + k.Name + " objects yet; the object has no effect"})
		}
	}
	return out
}
