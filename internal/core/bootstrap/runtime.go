package bootstrap

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxRegexProgram is how large a compiled expression may be. Envoy's own limit is 100, which an expression such as
// `/[a-z0-9-]{1,64}` exceeds, and then it refuses the whole resource. The mesh bounds expressions itself, where their
// author sees it (re2.MaxCost), so this only has to be larger than that.
const maxRegexProgram = 1 << 20

// maxFigures is how many bytes of an application's metrics a sidecar takes up, which it does to read them before Prometheus
// does. (It is Envoy's limit for every answer to a call of its own; those of tracing collectors have no body to speak of.)
const maxFigures = 2 << 20

// Runtime is the part of Envoy's runtime that generated configuration relies on.
func Runtime() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "mesh",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
			"re2.max_program_size.error_level": structpb.NewNumberValue(maxRegexProgram),
			"http.async_response_buffer_limit": structpb.NewNumberValue(maxFigures),
			// A header that a request holds twice is judged as what it means, the values joined by commas. Judged one by
			// one, a value that is granted would carry another one past the rule.
			"envoy.reloadable_features.match_headers_individually":      structpb.NewBoolValue(false),
			"envoy.reloadable_features.rbac_match_headers_individually": structpb.NewBoolValue(false),
		}}},
	}}}
}
