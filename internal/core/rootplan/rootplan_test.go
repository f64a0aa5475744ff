package rootplan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

var begin = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func object(name string, role config.MeshRootCertificateRole, age int, state string, signing int) Object {
	o := Object{Name: name, Root: "root-" + name, Certificate: "pem-" + name, Role: role, Created: begin.Add(-time.Duration(age) * time.Hour)}
	o.Status.State, o.Status.Root = state, o.Root
	if signing > 0 {
		o.Status.SigningSince = &metav1.Time{Time: begin.Add(-time.Duration(signing) * time.Minute)}
	}
	if state == "" {
		o.Status.Root = ""
	}
	return o
}

func TestChoose(t *testing.T) {
	const passive, active, inactive = config.RolePassive, config.RoleActive, config.RoleInactive
	tests := []struct {
		name           string
		objects        []Object
		target, signer string
		trusted        []string
		problems       map[string]string
	}{
		{name: "none"},
		{name: "one, new", objects: []Object{object("a", active, 1, "", 0)}, target: "a", trusted: []string{"a"}},
		{name: "one, in force", objects: []Object{object("a", active, 1, config.RootActive, 9)}, target: "a", signer: "a", trusted: []string{"a"}},
		{name: "active and passive", objects: []Object{object("a", active, 2, config.RootActive, 9), object("b", passive, 1, "", 0)},
			target: "a", signer: "a", trusted: []string{"a", "b"}},
		{name: "of two active ones the younger", objects: []Object{object("a", active, 2, config.RootActive, 9), object("b", active, 1, config.RootPassive, 0)},
			target: "b", signer: "a", trusted: []string{"a", "b"}},
		{name: "half written", objects: []Object{object("a", active, 2, config.RootActive, 9), object("b", active, 1, config.RootIssuingRollout, 1)},
			target: "b", signer: "b", trusted: []string{"a", "b"}},
		{name: "inactive, and its certificates in use", objects: []Object{object("a", inactive, 2, config.RootIssuingRollback, 9), object("b", active, 1, config.RootActive, 1)},
			target: "b", signer: "b", trusted: []string{"a", "b"}},
		{name: "inactive", objects: []Object{object("a", inactive, 2, config.RootInactive, 0), object("b", active, 1, config.RootActive, 1)},
			target: "b", signer: "b", trusted: []string{"b"}},
		{name: "a third", objects: []Object{object("a", active, 3, config.RootActive, 9), object("b", passive, 2, config.RootPassive, 0), object("c", active, 1, "", 0)},
			target: "a", signer: "a", trusted: []string{"a", "b"},
			problems: map[string]string{"c": "spec.role: active: a and b are in use already, and no more than 2 may be; give one of them the role inactive first"}},
		{name: "none active", objects: []Object{object("a", passive, 2, config.RootActive, 9), object("b", passive, 1, config.RootPassive, 0)},
			signer: "a", trusted: []string{"a", "b"},
			problems: map[string]string{
				"a": "spec.role: passive: no MeshRootCertificate that can be used is active, so a goes on signing; give one the role active",
				"b": "spec.role: passive: no MeshRootCertificate that can be used is active, so a goes on signing; give one the role active"}},
		{name: "the signer is inactive", objects: []Object{object("a", inactive, 2, config.RootActive, 9)}, signer: "a", trusted: []string{"a"},
			problems: map[string]string{"a": "spec.role: inactive: no MeshRootCertificate that can be used is active, so a goes on signing; give one the role active"}},
		{name: "one that cannot be used", objects: []Object{object("a", active, 2, config.RootActive, 9),
			{Name: "b", Role: active, Created: begin, Problem: Problem{Reason: "SecretNotUsable", Message: "no"}}},
			target: "a", signer: "a", trusted: []string{"a"}, problems: map[string]string{"b": "no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Choose(tt.objects)
			require.Equal(t, tt.target, c.Target)
			require.Equal(t, tt.signer, c.Signer)
			require.Equal(t, tt.trusted, c.Trusted)
			problems := map[string]string{}
			for name, p := range c.Problems {
				problems[name] = p.Message
			}
			if tt.problems == nil {
				tt.problems = map[string]string{}
			}
			require.Equal(t, tt.problems, problems)
		})
	}
}

// mesh walks through a change of root the way the leader does.
type mesh struct {
	t  *testing.T
	in Input
}

func newMesh(t *testing.T, objects ...Object) *mesh {
	return &mesh{t: t, in: Input{
		Now: begin, Objects: objects, Present: Present{"root-a", "pem-a"}, Sidecars: 3,
		Replicas: map[string][]string{ComponentController: {"c0", "c1"}, ComponentInjector: {"i0"}},
		Settle:   5 * time.Second, Overlap: 30 * time.Second, Longest: 24 * time.Hour,
	}}
}

func (m *mesh) step(after time.Duration) Output {
	m.in.Now = m.in.Now.Add(after)
	out := m.in.Advance()
	for i := range m.in.Objects {
		m.in.Objects[i].Status = out.Statuses[m.in.Objects[i].Name]
	}
	return out
}

func (m *mesh) states() map[string]string {
	out := map[string]string{}
	for _, o := range m.in.Objects {
		out[o.Name] = o.Status.State
	}
	return out
}

// say has every replica acknowledge a stage of an object; each controller has so many proxies.
func (m *mesh) say(i int, stage string, proxies int) {
	said := map[string]config.MeshRootCertificateReplica{"i0": {Component: ComponentInjector, Stage: stage}}
	for _, c := range m.in.Replicas[ComponentController] {
		said[c] = config.MeshRootCertificateReplica{Component: ComponentController, Stage: stage, Proxies: proxies}
	}
	m.in.Objects[i].Status.Replicas = said
}

func TestAChangeOfRoot(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 2, config.RootActive, 60), object("b", config.RolePassive, 1, "", 0))
	out := m.step(0)
	require.Equal(t, map[string]string{"a": config.RootActive, "b": config.RootValidatingRollout}, m.states())
	require.Equal(t, begin.Add(30*time.Second), m.in.Objects[1].Status.TransitionAfter.Time)
	require.Equal(t, 5*time.Second, out.Wait)

	m.say(1, config.StageValidating, 0)
	m.step(2 * time.Second)
	require.Equal(t, config.RootValidatingRollout, m.states()["b"], "those who cannot acknowledge need a moment")
	m.step(3 * time.Second)
	require.Equal(t, config.RootPassive, m.states()["b"])
	require.Equal(t, config.StageValidating, m.in.Objects[1].Status.ComponentStatuses.Sidecar)

	m.in.Objects[1].Role = config.RoleActive
	out = m.step(time.Second)
	require.Equal(t, "b", out.Began)
	require.Equal(t, "root-a", out.Before)
	require.Equal(t, map[string]string{"a": config.RootIssuingRollback, "b": config.RootIssuingRollout}, m.states())
	require.Equal(t, "root-a", m.in.Objects[1].Status.FormerRoots[0].Root)
	require.Equal(t, "pem-a", m.in.Objects[1].Status.FormerRoots[0].Certificate)

	m.in.Objects[0].Role = config.RoleInactive
	m.step(time.Second)
	require.Equal(t, config.RootIssuingRollback, m.states()["a"], "its certificates are in use")
	require.Equal(t, m.in.Now.Add(24*time.Hour-time.Second), m.in.Objects[0].Status.TransitionAfter.Time)

	m.say(1, config.StageIssuing, 1)
	m.step(time.Second)
	require.Equal(t, config.RootActive, m.states()["b"])
	m.step(5 * time.Second)
	require.Equal(t, config.RootIssuingRollback, m.states()["a"], "one sidecar of three has not been heard of")
	m.in.Sidecars = 2
	m.step(time.Second)
	require.Equal(t, map[string]string{"a": config.RootInactive, "b": config.RootActive}, m.states())
	require.Empty(t, m.in.Objects[1].Status.FormerRoots)
	require.Equal(t, config.StageUnused, m.in.Objects[0].Status.ComponentStatuses.Sidecar)
	require.Equal(t, config.StageIssuing, m.in.Objects[1].Status.ComponentStatuses.MutatingWebhook)
	require.Zero(t, m.step(time.Hour).Wait)
}

func TestThoseWhoDoNotAnswerAreNotWaitedForForEver(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 2, config.RootActive, 60), object("b", config.RolePassive, 1, "", 0))
	m.step(0)
	m.step(29 * time.Second)
	require.Equal(t, config.RootValidatingRollout, m.states()["b"])
	m.step(time.Second)
	require.Equal(t, config.RootPassive, m.states()["b"])

	m.in.Objects[1].Role, m.in.Objects[0].Role = config.RoleActive, config.RoleInactive
	m.step(time.Second)
	m.step(24*time.Hour - time.Second)
	require.Equal(t, config.RootIssuingRollback, m.states()["a"])
	m.step(time.Second)
	require.Equal(t, config.RootInactive, m.states()["a"], "the last certificate has ended")
}

// TestTheFirstObject takes over from osm-ca-bundle: with the same root at once, with another as from an object.
func TestTheFirstObject(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 1, "", 0))
	out := m.step(0)
	require.Empty(t, out.Began, "the root is the same")
	require.Equal(t, config.RootIssuingRollout, m.states()["a"])
	require.Empty(t, m.in.Objects[0].Status.FormerRoots)
	m.say(0, config.StageIssuing, 2)
	m.step(time.Second)
	require.Equal(t, config.RootActive, m.states()["a"])

	m = newMesh(t, object("b", config.RoleActive, 1, "", 0))
	require.Empty(t, m.step(0).Began)
	require.Equal(t, config.RootValidatingRollout, m.states()["b"])
	m.say(0, config.StageValidating, 0)
	m.step(5 * time.Second)
	out = m.step(0)
	require.Equal(t, config.RootIssuingRollout, m.states()["b"])
	require.Equal(t, "root-a", m.in.Objects[0].Status.FormerRoots[0].Root)
}

// TestAnotherRootBehindAnObject: somebody replaces the Secret. The new root begins as that of a new object.
func TestAnotherRootBehindAnObject(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 1, config.RootActive, 60))
	m.in.Objects[0].Root, m.in.Objects[0].Certificate = "root-new", "pem-new"
	require.Empty(t, Choose(m.in.Objects).Signer, "the root before goes on signing")
	m.step(0)
	require.Equal(t, config.RootValidatingRollout, m.states()["a"])
	m.say(0, config.StageValidating, 0)
	m.step(5 * time.Second)
	m.step(0)
	require.Equal(t, config.RootIssuingRollout, m.states()["a"])
	require.Equal(t, "root-a", m.in.Objects[0].Status.FormerRoots[0].Root)
}

// TestASecretThatIsGone changes nothing for an object that is in use.
func TestASecretThatIsGone(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 1, config.RootActive, 60))
	m.in.Objects[0].Root, m.in.Objects[0].Problem = "", Problem{Reason: "SecretNotUsable", Message: "gone"}
	out := m.step(0)
	require.Equal(t, config.RootActive, m.states()["a"])
	require.Equal(t, "gone", out.Problems["a"].Message)
}

// TestPodsThatAreGoneAreForgotten and a new one has to acknowledge.
func TestPodsThatAreGoneAreForgotten(t *testing.T) {
	m := newMesh(t, object("a", config.RoleActive, 2, config.RootActive, 60), object("b", config.RolePassive, 1, "", 0))
	m.step(0)
	m.say(1, config.StageValidating, 0)
	m.in.Replicas[ComponentController] = []string{"c1", "c2"}
	m.step(6 * time.Second)
	require.NotContains(t, m.in.Objects[1].Status.Replicas, "c0")
	require.Equal(t, config.RootValidatingRollout, m.states()["b"], "c2 has said nothing")
}
