package envoycheck

import (
	"encoding/json"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// firstPort is where the listeners of merged configurations are numbered from: Envoy refuses two at one address.
const firstPort = 20000

// Merge makes one configuration of several, for one start of Envoy instead of many. Clusters and listeners get names and
// ports of their own; nothing else is changed.
func Merge(list []*bootstrapv3.Bootstrap) (*bootstrapv3.Bootstrap, error) {
	out := &bootstrapv3.Bootstrap{LayeredRuntime: list[0].LayeredRuntime, StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	port := uint32(firstPort)
	for i, b := range list {
		one, err := renamed(b, fmt.Sprintf("~%d", i))
		if err != nil {
			return nil, err
		}
		for _, l := range one.StaticResources.Listeners {
			l.Name = fmt.Sprintf("%s~%d", l.Name, i)
			setPort(&port, l.Address.GetSocketAddress())
			for _, more := range l.AdditionalAddresses {
				setPort(&port, more.Address.GetSocketAddress())
			}
		}
		proto.Merge(out.StaticResources, one.StaticResources)
	}
	return out, nil
}

// renamed appends a suffix to every cluster's name and to whatever says that name.
func renamed(b *bootstrapv3.Bootstrap, suffix string) (*bootstrapv3.Bootstrap, error) {
	names := map[string]bool{}
	for _, c := range b.StaticResources.Clusters {
		names[c.Name] = true
	}
	text, err := protojson.Marshal(b)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if text, err = json.Marshal(rename(tree, names, suffix)); err != nil {
		return nil, err
	}
	out := &bootstrapv3.Bootstrap{}
	return out, protojson.Unmarshal(text, out)
}

func rename(v any, names map[string]bool, suffix string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			v[k] = rename(child, names, suffix)
		}
	case []any:
		for i, child := range v {
			v[i] = rename(child, names, suffix)
		}
	case string:
		if names[v] {
			return v + suffix
		}
	}
	return v
}

func setPort(next *uint32, a *corev3.SocketAddress) {
	a.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: *next}
	*next++
}
