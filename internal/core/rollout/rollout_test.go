package rollout

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/snapshot"
)

func ref(kind, name string) snapshot.ObjectRef {
	return snapshot.ObjectRef{Kind: kind, Namespace: "shop", Name: name}
}

var (
	group  = ref("HTTPRouteGroup", "g")
	target = ref("TrafficTarget", "t")
	mesh   = ref("MeshConfig", "m")
	web    = ref("Service", "web")
)

func refused(objects ...snapshot.ObjectRef) []Refusal {
	return []Refusal{{Resource: `route config "r"`, Identities: []string{"shop/web"}, Words: "no such class.\n", Objects: objects}}
}

func blamed(t *Tracker, r []Refusal) []snapshot.ObjectRef {
	var out []snapshot.ObjectRef
	for _, f := range t.Findings(r) {
		out = append(out, f.Object)
	}
	return out
}

func all(generation int64) []Object {
	return []Object{{group, generation}, {target, 1}, {mesh, 1}}
}

func TestWaiting(t *testing.T) {
	var tr Tracker
	tr.Show(1, all(1))
	require.Equal(t, map[snapshot.ObjectRef]bool{group: true, target: true, mesh: true}, tr.Waiting())
	tr.Acknowledge(1, nil)
	require.Empty(t, tr.Waiting())
	tr.Show(2, all(1))
	require.Empty(t, tr.Waiting(), "a snapshot that changes nothing of an object asks for no new word")
	tr.Show(3, all(2))
	require.Equal(t, map[snapshot.ObjectRef]bool{group: true}, tr.Waiting())
	tr.Acknowledge(2, nil)
	require.Equal(t, map[snapshot.ObjectRef]bool{group: true}, tr.Waiting(), "an answer to the snapshot before is none")
	tr.Acknowledge(3, nil)
	require.Empty(t, tr.Waiting())
	require.EqualValues(t, 3, tr.Acked())
	tr.Acknowledge(1, nil)
	require.EqualValues(t, 3, tr.Acked())
}

func TestWhatHasChangedIsBlamed(t *testing.T) {
	var tr Tracker
	tr.Show(1, all(1))
	tr.Acknowledge(1, nil)
	tr.Show(2, all(2))
	r := refused(group, mesh, web, target)
	tr.Acknowledge(2, r)
	require.Equal(t, []snapshot.ObjectRef{group}, blamed(&tr, r))
	require.Equal(t, snapshot.Finding{Object: group, Severity: snapshot.Error, Reason: "RejectedByProxy",
		Message: `the proxies of shop/web refuse the route config "r" that this object shapes, and keep the version before; they say: no such class. Change what they name`},
		tr.Findings(r)[0])

	// What else changes meanwhile is out of force too, and stays so until the resource is taken.
	tr.Show(3, []Object{{group, 2}, {target, 2}, {mesh, 2}})
	tr.Acknowledge(3, r)
	require.Equal(t, []snapshot.ObjectRef{group, mesh, target}, blamed(&tr, r))
	tr.Show(4, []Object{{group, 3}, {target, 2}, {mesh, 2}})
	tr.Acknowledge(4, nil)
	require.Empty(t, blamed(&tr, nil))
	tr.Show(5, []Object{{group, 4}, {target, 2}, {mesh, 2}})
	require.Equal(t, []snapshot.ObjectRef{group}, blamed(&tr, r))
}

func TestBlameWithoutMemory(t *testing.T) {
	var tr Tracker
	tr.Show(1, all(1))
	r := refused(group, mesh, web, target, ref("TrafficTarget", "gone"))
	require.Equal(t, []snapshot.ObjectRef{group, target}, blamed(&tr, r), "after a restart every policy is suspected, the MeshConfig is not")
	tr.Acknowledge(1, nil)
	require.Equal(t, []snapshot.ObjectRef{web}, blamed(&tr, r), "no policy has changed, so a service has")
	require.Equal(t, []snapshot.ObjectRef{group}, blamed(&tr, refused(mesh, group)))
	require.Equal(t, []snapshot.ObjectRef{mesh}, blamed(&tr, refused(mesh)))
	require.Empty(t, blamed(&tr, refused()))
}
