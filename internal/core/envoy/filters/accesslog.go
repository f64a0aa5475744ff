package filters

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"
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

func accessLog() []*accesslogv3.AccessLog {
	fields := make(map[string]*structpb.Value, len(accessLogFields))
	for k, v := range accessLogFields {
		fields[k] = structpb.NewStringValue(v)
	}
	log := &streamv3.StdoutAccessLog{AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}}}}}
	return []*accesslogv3.AccessLog{{Name: NameStdoutLog, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: Any(log)}}}
}
