package filters

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameStdoutLog is the access logger that `kubectl logs POD -c envoy` shows.
const NameStdoutLog = "envoy.access_loggers.stdout"

// accessLogFields are the keys of one JSON line; users' log pipelines parse them. Values are Envoy's command operators
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage).
// The path is the one that was judged; the mesh rewrites none, so a header that claims an original one is a client's word.
var accessLogFields = map[string]string{
	"start_time":            "%START_TIME%",
	"method":                "%REQ(:METHOD)%",
	"path":                  "%REQ(:PATH)%",
	"protocol":              "%PROTOCOL%",
	"response_code":         "%RESPONSE_CODE%",
	"response_code_details": "%RESPONSE_CODE_DETAILS%",
	"time_to_first_byte":    "%RESPONSE_DURATION%",
	"upstream_cluster":      "%UPSTREAM_CLUSTER%",
	"response_flags":        "%RESPONSE_FLAGS%",
	"bytes_received":        "%BYTES_RECEIVED%",
	"bytes_sent":            "%BYTES_SENT%",
	"duration":              "%DURATION%",
	"upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
	"x_forwarded_for":       "%REQ(X-FORWARDED-FOR)%",
	"user_agent":            "%REQ(USER-AGENT)%",
	"request_id":            "%REQ(X-REQUEST-ID)%",
	"requested_server_name": "%REQUESTED_SERVER_NAME%",
	"authority":             "%REQ(:AUTHORITY)%",
	"upstream_host":         "%UPSTREAM_HOST%",
}

func accessLog(which ir.AccessLog) []*accesslogv3.AccessLog {
	if which == ir.LogNothing {
		return nil
	}
	fields := make(map[string]*structpb.Value, len(accessLogFields))
	for k, v := range accessLogFields {
		fields[k] = structpb.NewStringValue(v)
	}
	log := &streamv3.StdoutAccessLog{AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}}}}}
	out := &accesslogv3.AccessLog{Name: NameStdoutLog, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: Any(log)}}
	if which == ir.LogFailures {
		out.Filter = failures()
	}
	return []*accesslogv3.AccessLog{out}
}

// firstFailure is the lowest HTTP status that counts as a failure.
const firstFailure = 400

// failures lets those calls through that did not go well: an answer of 400 and above, whatever Envoy itself has flagged (no
// route, no upstream, a reset, a limit), and a gRPC error, which hides behind the status 200.
func failures() *accesslogv3.AccessLogFilter {
	return anyOf(
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{}}},
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
			Comparison: &accesslogv3.ComparisonFilter{Op: accesslogv3.ComparisonFilter_GE,
				Value: &corev3.RuntimeUInt32{DefaultValue: firstFailure, RuntimeKey: "mesh.access_log.first_failure"}}}}},
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{
			{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{Header: &routev3.HeaderMatcher{
				Name: "content-type", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
					MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "application/grpc"}}}}}}},
			{FilterSpecifier: &accesslogv3.AccessLogFilter_GrpcStatusFilter{GrpcStatusFilter: &accesslogv3.GrpcStatusFilter{
				Statuses: []accesslogv3.GrpcStatusFilter_Status{accesslogv3.GrpcStatusFilter_OK}, Exclude: true}}},
		}}}},
	)
}

func anyOf(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: filters}}}
}
