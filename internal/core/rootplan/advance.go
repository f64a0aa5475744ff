package rootplan

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

// Present is a root that signs although no object names it: that of osm-ca-bundle when the mesh begins to take its roots from
// objects, or of an object that was deleted. The zero value is none.
type Present struct{ Root, Certificate string }

// Input is what the leader knows.
type Input struct {
	Now     time.Time
	Objects []Object
	Present Present
	// Replicas are the running pods of the control plane that use certificates, by component: each has to acknowledge.
	Replicas map[string][]string
	// Sidecars is how many running pods have a sidecar.
	Sidecars int
	// Settle is how long a step lasts at least, for those who cannot acknowledge; Overlap how long a step waits for those who
	// do not. Longest is how long a certificate lives.
	Settle, Overlap, Longest time.Duration
}

// Output is what the leader has to do.
type Output struct {
	Choice
	// Statuses are those of all objects after this step. Conditions are another's business and stay as they are.
	Statuses map[string]config.MeshRootCertificateStatus
	// Began is the object that signs from this step on, with the root that signed before; empty in all other steps.
	Began, Before string
	// Wait is how long nothing happens unless something changes; 0 means for ever.
	Wait time.Duration
}

// step is one call of Advance.
type step struct {
	Input
	out  Output
	byID map[string]Object
}

// Advance makes the next step, if it is time.
func (in Input) Advance() Output {
	s := step{Input: in, byID: map[string]Object{}}
	s.Objects = current(in.Objects)
	s.out.Choice = Choose(s.Objects)
	s.out.Statuses = map[string]config.MeshRootCertificateStatus{}
	for _, o := range s.Objects {
		s.byID[o.Name] = o
		st := *o.Status.DeepCopy()
		if o.Root != "" {
			st.Root = o.Root
		}
		st.Replicas = s.present(st.Replicas)
		s.out.Statuses[o.Name] = st
	}
	for _, o := range s.Objects {
		s.trust(o)
	}
	s.sign()
	s.settle()
	for _, o := range s.Objects {
		s.retire(o)
	}
	s.forget()
	for name, st := range s.out.Statuses {
		st.ComponentStatuses = s.components(name, st)
		s.out.Statuses[name] = st
	}
	return s.out
}

// present drops what pods that are gone have said.
func (s *step) present(said map[string]config.MeshRootCertificateReplica) map[string]config.MeshRootCertificateReplica {
	out := map[string]config.MeshRootCertificateReplica{}
	for pod, r := range said {
		if slices.Contains(s.Input.Replicas[r.Component], pod) {
			out[pod] = r
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (s *step) set(name string, change func(*config.MeshRootCertificateStatus)) {
	st := s.out.Statuses[name]
	change(&st)
	s.out.Statuses[name] = st
}

func (s *step) enter(name, state string, after time.Duration) {
	s.set(name, func(st *config.MeshRootCertificateStatus) {
		st.State, st.TransitionAfter = state, nil
		if after > 0 {
			st.TransitionAfter = &metav1.Time{Time: s.Now.Add(after).Truncate(time.Second)}
			s.wake(after)
		}
	})
}

func (s *step) wake(after time.Duration) {
	if after = max(after, time.Second); s.out.Wait == 0 || after < s.out.Wait {
		s.out.Wait = after
	}
}

// over reports whether the time of an object's step is over, and has the leader look again when it will be.
func (s *step) over(name string, early time.Duration) bool {
	at := s.out.Statuses[name].TransitionAfter
	if at == nil {
		return true
	}
	left := at.Add(-early).Sub(s.Now)
	if left > 0 {
		s.wake(left)
	}
	return left <= 0
}

// trust brings an object that is in use to where everybody trusts it.
func (s *step) trust(o Object) {
	_, problem := s.out.Problems[o.Name]
	st := s.out.Statuses[o.Name]
	switch {
	case o.Role == config.RoleInactive:
		if !trustedStill(o) && st.State != config.RootInactive {
			s.enter(o.Name, config.RootInactive, 0)
		}
	case o.Root == "" && (trustedStill(o) || st.State == config.RootValidatingRollout):
		// It was in use: what is known of it stays in force.
	case o.Root == "" || problem && !slices.Contains(s.out.Trusted, o.Name):
		if st.State != config.RootError {
			s.enter(o.Name, config.RootError, 0)
		}
	case st.State == config.RootValidatingRollout:
		acked := s.acked(st, config.StageValidating) && s.over(o.Name, s.Overlap-s.Settle)
		if acked || s.over(o.Name, 0) {
			s.enter(o.Name, config.RootPassive, 0)
		}
	case !trustedStill(o):
		s.set(o.Name, func(st *config.MeshRootCertificateStatus) {
			st.Replicas, st.SigningSince = nil, nil
		})
		s.enter(o.Name, config.RootValidatingRollout, s.Overlap)
		if s.Overlap > s.Settle {
			s.wake(s.Settle)
		}
	}
}

// acked reports whether every replica has come to a stage.
func (s *step) acked(st config.MeshRootCertificateStatus, stage string) bool {
	for _, pods := range s.Input.Replicas {
		for _, pod := range pods {
			if r, said := st.Replicas[pod]; !said || r.Stage != stage && r.Stage != config.StageIssuing {
				return false
			}
		}
	}
	return true
}

// sign lets the target take over once everybody trusts it.
func (s *step) sign() {
	target := s.out.Target
	if target == "" || target == s.out.Signer {
		return
	}
	t := s.byID[target]
	before := s.Present
	if o, known := s.byID[s.out.Signer]; known {
		before = Present{o.Root, o.Certificate}
		if o.Root == "" { // its Secret is gone; the leader has it in memory, unless it has just started
			before.Root = o.Status.Root
			if s.Present.Root == before.Root {
				before.Certificate = s.Present.Certificate
			}
		}
	}
	nothingToWaitFor := before.Root == "" || before.Root == t.Root
	state := s.out.Statuses[target].State
	if !nothingToWaitFor && state != config.RootPassive && state != config.RootIssuingRollback {
		return
	}
	s.take(target, before)
}

// take makes the target the signer.
func (s *step) take(target string, before Present) {
	old := s.out.Statuses[s.out.Signer]
	root := s.byID[target].Root
	var former []config.MeshRootCertificateFormerRoot
	if before.Root != "" && before.Root != root && before.Certificate != "" {
		former = append(former, config.MeshRootCertificateFormerRoot{
			Root: before.Root, Certificate: before.Certificate,
			TrustedUntil: metav1.Time{Time: s.Now.Add(s.Longest).Truncate(time.Second)},
		})
	}
	for _, f := range old.FormerRoots {
		if f.Root != root && f.Root != before.Root {
			former = append(former, f)
		}
	}
	at := s.Now.Truncate(time.Second)
	if old.SigningSince != nil && !at.After(old.SigningSince.Time) {
		at = old.SigningSince.Add(time.Second)
	}
	s.set(target, func(st *config.MeshRootCertificateStatus) {
		st.SigningSince, st.FormerRoots = &metav1.Time{Time: at}, former
		for pod, r := range st.Replicas {
			r.Stage, r.Proxies = config.StageValidating, 0
			st.Replicas[pod] = r
		}
	})
	s.enter(target, config.RootIssuingRollout, 0)
	for name, st := range s.out.Statuses {
		if name != target && (st.State == config.RootIssuingRollout || st.State == config.RootActive) {
			s.enter(name, config.RootIssuingRollback, 0)
		}
	}
	if name := s.out.Choice.Signer; name != "" {
		s.set(name, func(st *config.MeshRootCertificateStatus) { st.FormerRoots = nil })
	}
	if before.Root != root {
		s.out.Began, s.out.Before = target, before.Root
	}
	s.out.Signer = target
}

// settle finds that every certificate is the signer's.
func (s *step) settle() {
	st, known := s.out.Statuses[s.out.Signer]
	if known && st.State == config.RootIssuingRollout && s.out.Began == "" && s.acked(st, config.StageIssuing) {
		s.enter(s.out.Signer, config.RootActive, s.Settle)
	}
}

// proven reports whether nobody can hold a certificate of another root than the signer's: every sidecar there is has one of
// the signer's, and has had it for a moment.
func (s *step) proven() bool {
	st, known := s.out.Statuses[s.out.Signer]
	if !known || st.State != config.RootActive || !s.acked(st, config.StageIssuing) || !s.over(s.out.Signer, 0) {
		return false
	}
	proxies := 0
	for _, r := range st.Replicas {
		proxies += r.Proxies
	}
	return proxies >= s.Sidecars
}

// retire takes an object that signed before, or is inactive now, out of use as far as certificates in use allow.
func (s *step) retire(o Object) {
	st := s.out.Statuses[o.Name]
	if o.Name == s.out.Signer || o.Root == "" && !trustedStill(o) {
		return
	}
	former := s.former(lastRoot(o))
	switch {
	case o.Role == config.RoleInactive && trustedStill(o):
		if former == nil || s.done(*former) {
			s.enter(o.Name, config.RootInactive, 0)
			return
		}
		if st.State != config.RootIssuingRollback || st.TransitionAfter == nil {
			s.enter(o.Name, config.RootIssuingRollback, 0)
			s.set(o.Name, func(st *config.MeshRootCertificateStatus) { st.TransitionAfter = former.TrustedUntil.DeepCopy() })
		}
	case st.State == config.RootIssuingRollback:
		signer := s.out.Statuses[s.out.Signer]
		if signer.State == config.RootActive {
			s.enter(o.Name, config.RootPassive, 0)
		}
	}
}

// lastRoot is the id of an object's root, also when it can no longer be read.
func lastRoot(o Object) string {
	if o.Root != "" {
		return o.Root
	}
	return o.Status.Root
}

func (s *step) former(root string) *config.MeshRootCertificateFormerRoot {
	list := s.out.Statuses[s.out.Signer].FormerRoots
	if i := slices.IndexFunc(list, func(f config.MeshRootCertificateFormerRoot) bool { return f.Root == root }); i >= 0 {
		return &list[i]
	}
	return nil
}

// done reports whether no certificate of a former root can be in use.
func (s *step) done(f config.MeshRootCertificateFormerRoot) bool {
	left := f.TrustedUntil.Sub(s.Now)
	if left > 0 {
		s.wake(left)
	}
	return left <= 0 || s.proven()
}

// forget drops former roots of which no certificate is in use. The list moves on with the signer, so others need none.
func (s *step) forget() {
	for name, st := range s.out.Statuses {
		if len(st.FormerRoots) == 0 {
			continue
		}
		var kept []config.MeshRootCertificateFormerRoot
		for _, f := range st.FormerRoots {
			if moved := name != s.out.Signer && s.former(f.Root) != nil; !moved && !s.done(f) {
				kept = append(kept, f)
			}
		}
		s.set(name, func(st *config.MeshRootCertificateStatus) { st.FormerRoots = kept })
	}
}

// components says how far each user of certificates has come with an object.
func (s *step) components(name string, st config.MeshRootCertificateStatus) config.MeshRootCertificateComponentStatuses {
	of := func(component string) string {
		switch st.State {
		case "", config.RootError:
			return config.StageUnknown
		case config.RootInactive:
			return config.StageUnused
		}
		pods, least := s.Input.Replicas[component], config.StageIssuing
		for _, pod := range pods {
			switch r, said := st.Replicas[pod]; {
			case !said:
				return config.StageUnknown
			case r.Stage == config.StageValidating:
				least = config.StageValidating
			}
		}
		if len(pods) == 0 || name != s.out.Signer {
			least = config.StageValidating
		}
		return least
	}
	controller, injector := of(ComponentController), of(ComponentInjector)
	return config.MeshRootCertificateComponentStatuses{
		ValidatingWebhook: controller, XDSControlPlane: controller, Sidecar: controller, Gateway: controller,
		MutatingWebhook: injector, Bootstrap: injector,
	}
}

// Roots are the ids of all roots that the statuses of the objects say are trusted beyond those of the objects themselves.
func Roots(objects []Object) map[string]config.MeshRootCertificateFormerRoot {
	out := map[string]config.MeshRootCertificateFormerRoot{}
	for _, o := range objects {
		for _, f := range o.Status.FormerRoots {
			if have, ok := out[f.Root]; !ok || have.TrustedUntil.Before(&f.TrustedUntil) {
				out[f.Root] = f
			}
		}
	}
	return out
}

// Components whose pods acknowledge.
const (
	ComponentController = "osm-controller"
	ComponentInjector   = "osm-injector"
)
