package status

import (
	"testing"

	"github.com/stretchr/testify/require"

	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// TestAReplicaThatDoesNotLeadSaysWhatItsProxiesRefuse, and nothing else.
func TestAReplicaThatDoesNotLeadSaysWhatItsProxiesRefuse(t *testing.T) {
	w := newWorld(t, object(accessv1alpha3.GroupVersion, "TrafficTarget", "t", 2))
	leader, other, third := w.writer("a"), w.writer("b"), w.writer("c")
	programmed := func() string {
		_, _, conditions, _ := w.status(accessv1alpha3.TrafficTargets, "t")
		for _, c := range conditions {
			if c.Type == "Programmed" {
				return c.Reason
			}
		}
		return ""
	}
	refusal := func(words string) *Report {
		return targetReport(2, finding(target, snapshot.Error, rollout.ReasonRejected, words))
	}
	mine, theirs := map[snapshot.ObjectRef]bool{}, map[snapshot.ObjectRef]bool{}
	other.assertPass(t.Context(), targetReport(2), mine)
	require.Zero(t, w.writes(), "what is in order is the leader's to say")

	leads := func(l *Writer) {
		l.latest = targetReport(2)
		require.True(t, l.pass(t.Context(), l.latest, written{}))
	}
	leads(leader)
	require.Equal(t, "Programmed", programmed())
	other.assertPass(t.Context(), refusal("no"), mine)
	require.Equal(t, "RejectedByProxy", programmed())
	require.Len(t, w.events(), 1)
	require.Equal(t, "RejectedByProxy", w.events()[0].Reason)

	n := w.writes()
	other.assertPass(t.Context(), refusal("no"), mine)
	third.assertPass(t.Context(), refusal("in other words"), theirs)
	require.Equal(t, n, w.writes(), "it is said already")

	leads(w.writer("d"))
	require.Equal(t, "Programmed", programmed(), "a new leader does not know")
	other.assertPass(t.Context(), refusal("no"), mine)
	require.Equal(t, "RejectedByProxy", programmed())

	other.assertPass(t.Context(), targetReport(2), mine)
	require.Equal(t, "Programmed", programmed(), "its proxies have taken it")
	third.assertPass(t.Context(), refusal("in other words"), theirs)
	require.Equal(t, "RejectedByProxy", programmed(), "those of another replica have not")
	third.assertPass(t.Context(), &Report{}, theirs)
	require.Empty(t, theirs, "an object that is gone is forgotten")
}

// TestEventsAboutServicesAreSaidOnce by a replica that does not lead.
func TestEventsAboutServicesAreSaidOnce(t *testing.T) {
	u := object(accessv1alpha3.GroupVersion, "Service", "web", 0)
	u.SetAPIVersion("v1")
	w := newWorld(t, u)
	web := snapshot.ObjectRef{Kind: "Service", Namespace: "shop", Name: "web"}
	r := &Report{
		Objects:  []Object{{Ref: web, Resource: services, EventOnly: true}},
		Findings: []snapshot.Finding{finding(web, snapshot.Error, rollout.ReasonRejected, "no")},
	}
	other, mine := w.writer("b"), map[snapshot.ObjectRef]bool{}
	other.assertPass(t.Context(), r, mine)
	other.assertPass(t.Context(), r, mine)
	require.Len(t, w.events(), 1)
	require.Zero(t, w.writes())
}
