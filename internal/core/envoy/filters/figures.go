package filters

import (
	_ "embed"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameLua is the filter that runs scripts. The project's own are the only ones: no text that a user writes is part of one.
const NameLua = "envoy.filters.http.lua"

// figuresScript adds the application's metrics to Envoy's.
//
//go:embed figures.lua
var figuresScript string

const (
	nameFigures = "figures.lua"
	// figuresMilliseconds is how long the application has for its answer: Prometheus waits ten seconds for the whole.
	figuresMilliseconds = 3000
)

// addFigures knows the script and runs it on the routes alone that say so.
func addFigures() *hcmv3.HttpFilter {
	return httpFilter(NameLua, &luav3.Lua{SourceCodes: map[string]*corev3.DataSource{
		nameFigures: {Specifier: &corev3.DataSource_InlineString{InlineString: figuresScript}}}})
}

// FiguresOf has a route's answers carry the metrics that the application shows at the page, reached through the cluster. What
// the user wrote goes to the script as data.
func FiguresOf(page ir.MetricsSource, cluster string) map[string]*anypb.Any {
	return map[string]*anypb.Any{NameLua: Any(&luav3.LuaPerRoute{
		Override: &luav3.LuaPerRoute_Name{Name: nameFigures},
		FilterContext: &structpb.Struct{Fields: map[string]*structpb.Value{
			"cluster": structpb.NewStringValue(cluster), "path": structpb.NewStringValue(page.Path),
			"milliseconds": structpb.NewNumberValue(figuresMilliseconds),
		}},
	})}
}
