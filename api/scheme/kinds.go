package scheme

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "openservicemesh.io/osm/api/config/v1alpha1"
	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	multiclusterv1alpha1 "openservicemesh.io/osm/api/multicluster/v1alpha1"
	policyv1alpha1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specsv1alpha4 "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	splitv1alpha2 "openservicemesh.io/osm/api/smi/split/v1alpha2"
)

// Kind is one version of a kind, as its CRD declares it.
type Kind struct {
	Group   string
	Version string
	Kind    string
	// Plural is the name of the resource, lower case.
	Plural     string
	ShortNames []string
	Namespaced bool
	// HasStatus says that the version has a status subresource.
	HasStatus bool
	// Served says that the API server answers requests for the version. Those
	// that are not served have no Go type.
	Served bool
	// Storage says that objects are stored as this version.
	Storage bool
	// Deprecated says that the API server warns who uses the version.
	Deprecated bool
}

// GroupVersionKind returns the kind's name in a scheme.
func (k Kind) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// GroupVersionResource returns the kind's name in a URL of the API server.
func (k Kind) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Plural}
}

// Singular returns the kind in lower case, as the CLI takes it.
func (k Kind) Singular() string {
	return strings.ToLower(k.Kind)
}

// CRDName returns the name of the kind's CustomResourceDefinition.
func (k Kind) CRDName() string {
	return k.Plural + "." + k.Group
}

// Kinds returns every version of every kind, ordered by group, plural and
// version, newest version first. Each call returns a list of its own.
func Kinds() []Kind {
	return []Kind{
		stored(accessv1alpha3.GroupVersion, accessv1alpha3.KindTrafficTarget, "traffictargets", "tt"),
		unserved(accessv1alpha3.GroupName, "v1alpha2", accessv1alpha3.KindTrafficTarget, "traffictargets", "tt"),
		unserved(accessv1alpha3.GroupName, "v1alpha1", accessv1alpha3.KindTrafficTarget, "traffictargets", "tt"),

		stored(configv1alpha2.GroupVersion, configv1alpha2.KindExtensionService, "extensionservices", "extsvc"),
		stored(configv1alpha2.GroupVersion, configv1alpha2.KindMeshConfig, "meshconfigs", "meshconfig"),
		deprecated(configv1alpha1.GroupVersion, configv1alpha1.KindMeshConfig, "meshconfigs", "meshconfig"),
		stored(configv1alpha2.GroupVersion, configv1alpha2.KindMeshRootCertificate, "meshrootcertificates", "mrc"),

		stored(multiclusterv1alpha1.GroupVersion, multiclusterv1alpha1.KindServiceExport, "serviceexports", "svcex"),
		stored(multiclusterv1alpha1.GroupVersion, multiclusterv1alpha1.KindServiceImport, "serviceimports", "svcim"),

		stored(policyv1alpha1.GroupVersion, policyv1alpha1.KindEgress, "egresses", "egress"),
		stored(policyv1alpha1.GroupVersion, policyv1alpha1.KindIngressBackend, "ingressbackends", "ingressbackend"),
		stored(policyv1alpha1.GroupVersion, policyv1alpha1.KindRetry, "retries", "retry"),
		stored(policyv1alpha1.GroupVersion, policyv1alpha1.KindTelemetry, "telemetries", "telemetry"),
		stored(policyv1alpha1.GroupVersion, policyv1alpha1.KindUpstreamTrafficSetting, "upstreamtrafficsettings", "upstreamtrafficsetting"),

		stored(specsv1alpha4.GroupVersion, specsv1alpha4.KindHTTPRouteGroup, "httproutegroups", "htr"),
		unserved(specsv1alpha4.GroupName, "v1alpha3", specsv1alpha4.KindHTTPRouteGroup, "httproutegroups", "htr"),
		unserved(specsv1alpha4.GroupName, "v1alpha2", specsv1alpha4.KindHTTPRouteGroup, "httproutegroups", "htr"),
		unserved(specsv1alpha4.GroupName, "v1alpha1", specsv1alpha4.KindHTTPRouteGroup, "httproutegroups", "htr"),
		stored(specsv1alpha4.GroupVersion, specsv1alpha4.KindTCPRoute, "tcproutes", "tr"),
		unserved(specsv1alpha4.GroupName, "v1alpha3", specsv1alpha4.KindTCPRoute, "tcproutes", "tr"),
		unserved(specsv1alpha4.GroupName, "v1alpha2", specsv1alpha4.KindTCPRoute, "tcproutes", "tr"),
		unserved(specsv1alpha4.GroupName, "v1alpha1", specsv1alpha4.KindTCPRoute, "tcproutes", "tr"),

		alike(splitv1alpha2.GroupVersion, "v1alpha4", splitv1alpha2.KindTrafficSplit, "trafficsplits", "ts"),
		alike(splitv1alpha2.GroupVersion, "v1alpha3", splitv1alpha2.KindTrafficSplit, "trafficsplits", "ts"),
		stored(splitv1alpha2.GroupVersion, splitv1alpha2.KindTrafficSplit, "trafficsplits", "ts"),
	}
}

// Served returns those of Kinds that the API server answers for.
func Served() []Kind {
	var out []Kind
	for _, k := range Kinds() {
		if k.Served {
			out = append(out, k)
		}
	}
	return out
}

func stored(gv schema.GroupVersion, kind, plural, short string) Kind {
	return Kind{
		Group: gv.Group, Version: gv.Version, Kind: kind, Plural: plural, ShortNames: []string{short},
		Namespaced: true, HasStatus: true, Served: true, Storage: true,
	}
}

func deprecated(gv schema.GroupVersion, kind, plural, short string) Kind {
	k := stored(gv, kind, plural, short)
	k.Storage, k.Deprecated = false, true
	return k
}

// alike is a version whose objects differ from the stored one's in apiVersion alone.
func alike(gv schema.GroupVersion, version, kind, plural, short string) Kind {
	k := stored(gv, kind, plural, short)
	k.Version, k.Storage = version, false
	return k
}

func unserved(group, version, kind, plural, short string) Kind {
	return Kind{
		Group: group, Version: version, Kind: kind, Plural: plural, ShortNames: []string{short}, Namespaced: true,
	}
}
