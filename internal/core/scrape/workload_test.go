package scrape

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"openservicemesh.io/osm/internal/core/meshid"
)

func TestWorkloadOf(t *testing.T) {
	itself := meshid.Workload{Kind: "Pod", Name: "cart-0"}
	for name, c := range map[string]struct {
		kind, owner string
		want        meshid.Workload
	}{
		"of a Deployment":         {"ReplicaSet", "cart-v1-5d4f8", meshid.Workload{Kind: "Deployment", Name: "cart-v1"}},
		"a ReplicaSet of its own": {"ReplicaSet", "cart", meshid.Workload{Kind: "ReplicaSet", Name: "cart"}},
		"of a StatefulSet":        {"StatefulSet", "cart-db", meshid.Workload{Kind: "StatefulSet", Name: "cart-db"}},
		"a kind of somebody's":    {"Rollout", "cart", meshid.Workload{Kind: "Rollout", Name: "cart"}},
		"of nobody":               {"", "", itself},
		"a format for a name":     {"Job", "%REQ(authorization)%", itself},
		"a format for a kind":     {"%REQ(authorization)%", "cart", itself},
		"a text without an end":   {"Job", strings.Repeat("a", 300), itself},
		"a kind without an end":   {strings.Repeat("A", 300), "cart", itself},
		"a label's end in a name": {"Job", `cart",x="`, itself},
		"a kind of several lines": {"Job\nJob", "cart", itself},
		"a ReplicaSet's odd name": {"ReplicaSet", "-5d4f8", itself},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cart-0"}}
		if c.owner != "" {
			pod.OwnerReferences = []metav1.OwnerReference{
				{Kind: "Other", Name: "does-not-control"}, {Kind: c.kind, Name: c.owner, Controller: ptr.To(true)}}
		}
		require.Equal(t, c.want, WorkloadOf(pod), name)
	}
}
