package filters

import (
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	statslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"
	transformstatv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/actions/transform_stat/v3"
	statsinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/stats/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/names"
)

const (
	nameStatsLog = "envoy.access_loggers.stats"
	// statsUnknown is the destination of a request that no address was chosen for.
	statsUnknown = "unknown"
	// Names of pods are labels, and pods come and go. Beyond these numbers a chain counts nothing new until what had no
	// request for an hour (the bootstrap says so) is forgotten.
	maxStatsCounters   = 2000
	maxStatsHistograms = 500
)

// OwnerMetadata is where an address says whose it is: the namespace of its metadata and the keys in it, which are also the
// ends of labels.
const (
	OwnerMetadata  = "openservicemesh.io"
	OwnerNamespace = "namespace"
	OwnerKind      = "kind"
	OwnerName      = "name"
	OwnerPod       = "pod"
)

// requestStats counts requests and how long they took, by whose they are, as the sidecar's environment says, and by whose
// address they went to, as the control plane says: nothing that anybody sends becomes a label but the status. Prometheus sees
// envoy_osm_request_total and envoy_osm_request_duration_ms.
//
// Each chain has a scope of its own. With a sharing_name it could be one scope for all, but Envoy 1.40 dies of a null
// pointer at the end of --mode validate then (a configuration it has just called OK).
func requestStats() *accesslogv3.AccessLog {
	ends := slices.Concat(
		end(OwnerNamespace, names.EnvPodNamespace), end(OwnerKind, names.EnvWorkloadKind), end(OwnerName, names.EnvWorkloadName), end(OwnerPod, names.EnvPodName))
	code := &statslogv3.Config_Tag{Name: "response_code", ValueFormat: "%RESPONSE_CODE%"}
	return &accesslogv3.AccessLog{Name: nameStatsLog, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: Any(&statslogv3.Config{
		StatsScope: &typev3.Scope{
			Prefix: "osm", EnableEviction: true,
			MaxCounters: wrapperspb.UInt32(maxStatsCounters), MaxHistograms: wrapperspb.UInt32(maxStatsHistograms),
		},
		Counters: []*statslogv3.Config_Counter{{
			Stat:       &statslogv3.Config_Stat{Name: "request_total", Tags: append([]*statslogv3.Config_Tag{code}, ends...)},
			ValueFixed: wrapperspb.UInt64(1),
		}},
		Histograms: []*statslogv3.Config_Histogram{{
			Stat: &statslogv3.Config_Stat{Name: "request_duration_ms", Tags: ends}, Unit: statslogv3.Config_Histogram_Milliseconds, ValueFormat: "%DURATION%",
		}},
	})}}
}

// end makes the labels of both ends for one part of what a pod is called, which of itself a sidecar knows from a variable.
func end(part, variable string) []*statslogv3.Config_Tag {
	return []*statslogv3.Config_Tag{
		{Name: "source_" + part, ValueFormat: "%ENVIRONMENT(" + variable + ")%"},
		{Name: "destination_" + part, ValueFormat: "%UPSTREAM_METADATA(" + OwnerMetadata + ":" + part + ")%", Rules: orUnknown()},
	}
}

// orUnknown replaces an empty label.
func orUnknown() *matcherv3.Matcher {
	extension := func(name string, m proto.Message) *xdscorev3.TypedExtensionConfig {
		return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: Any(m)}
	}
	empty := &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
		Input: extension("label", &statsinputsv3.StatTagValueInput{}),
		Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{
			ValueMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{}}},
	}}
	unknown := &matcherv3.Matcher_OnMatch_Action{Action: extension(statsUnknown, &transformstatv3.TransformStat{
		UpdateTag: &transformstatv3.TransformStat_UpdateTag{NewTagValue: statsUnknown}})}
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
		Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{
			Predicate: &matcherv3.Matcher_MatcherList_Predicate{MatchType: empty},
			OnMatch:   &matcherv3.Matcher_OnMatch{OnMatch: unknown},
		}}}}}
}
