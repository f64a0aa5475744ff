package rootplan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

// The property: whatever people do to the objects, in whichever order replicas and proxies hear of it, no proxy ever meets a
// certificate that it does not trust.

type proxy struct {
	at       int // the controller it is connected to, -1 for none
	trusts   map[string]bool
	cert     string
	notAfter time.Time
}

type replica struct {
	name, component string
	seen            []Object
	signer          string
	trusts          map[string]bool
	up              bool
}

type sim struct {
	t        *testing.T
	r        *rand.Rand
	now      time.Time
	objects  []Object
	replicas []*replica
	proxies  []*proxy
	// by are the roots that a root's certificates carry cross certificates of, its predecessors'.
	by    map[string]map[string]bool
	cross bool
	log   []string
	next  int
	began int
}

const simLongest = time.Hour

func newSim(t *testing.T, seed uint64, cross bool) *sim {
	s := &sim{t: t, r: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), by: map[string]map[string]bool{}, cross: cross}
	for i, c := range []string{ComponentController, ComponentController, ComponentInjector} {
		s.replicas = append(s.replicas, &replica{name: fmt.Sprintf("%s-%d", c, i), component: c, signer: "bundle", trusts: map[string]bool{"bundle": true}, up: true})
	}
	for i := range 6 {
		s.proxies = append(s.proxies, &proxy{at: i % 2, trusts: map[string]bool{"bundle": true}, cert: "bundle", notAfter: s.now.Add(simLongest)})
	}
	return s
}

func (s *sim) logf(format string, args ...any) {
	s.log = append(s.log, s.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

func (s *sim) index(name string) int {
	return slices.IndexFunc(s.objects, func(o Object) bool { return o.Name == name })
}

// person does something to the objects.
func (s *sim) person() {
	if s.r.IntN(3) > 0 {
		s.rotate()
		return
	}
	roles := []config.MeshRootCertificateRole{config.RolePassive, config.RoleActive, config.RoleInactive}
	switch n := s.r.IntN(10); {
	case n < 3 && len(s.objects) < 5:
		s.next++
		name := fmt.Sprintf("mrc-%d", s.next)
		root := "root-" + name
		if s.next == 1 {
			root = "bundle"
		}
		s.objects = append(s.objects, Object{Name: name, Root: root, Certificate: root, Created: s.now, Role: roles[s.r.IntN(2)]})
		s.logf("created %s %s", name, s.objects[len(s.objects)-1].Role)
	case n < 9 && len(s.objects) > 0:
		o := &s.objects[s.r.IntN(len(s.objects))]
		o.Role = roles[s.r.IntN(3)]
		s.logf("%s becomes %s", o.Name, o.Role)
	case len(s.objects) > 0:
		i := s.r.IntN(len(s.objects))
		if s.objects[i].Name == Choose(s.objects).Signer {
			return // the webhook refuses that
		}
		s.logf("deleted %s", s.objects[i].Name)
		s.objects = slices.Delete(slices.Clone(s.objects), i, i+1)
	}
}

// rotate does the next thing that somebody does who knows how to change a root.
func (s *sim) rotate() {
	var used []*Object
	for i := range s.objects {
		if s.objects[i].Role != config.RoleInactive {
			used = append(used, &s.objects[i])
		}
	}
	switch {
	case len(used) < 2:
		s.next++
		name := fmt.Sprintf("mrc-%d", s.next)
		s.objects = append(s.objects, Object{Name: name, Root: "root-" + name, Certificate: "root-" + name, Created: s.now, Role: config.RolePassive})
	case used[1].Role == config.RolePassive:
		used[1].Role = config.RoleActive
	case used[1].Name == Choose(s.objects).Signer:
		used[0].Role = config.RoleInactive
	}
}

// hear has a replica see what the objects are, as internal/certs does.
func (s *sim) hear(r *replica) {
	r.seen = slices.Clone(s.objects)
	c := Choose(r.seen)
	roots := map[string]string{}
	for _, o := range r.seen {
		roots[o.Name] = o.Root
	}
	if root := roots[c.Signer]; root != "" {
		r.signer = root
	}
	r.trusts = map[string]bool{r.signer: true}
	for _, name := range c.Trusted {
		r.trusts[roots[name]] = true
	}
	for id := range Roots(r.seen) {
		r.trusts[id] = true
	}
}

func (s *sim) acknowledge(r *replica, index int) {
	for i := range s.objects {
		o := &s.objects[i]
		if !r.trusts[o.Root] || Choose(s.objects).Problems[o.Name].Code == CodeTooMany {
			continue
		}
		stage, count, trusting, issuing := "", 0, true, true
		for _, p := range s.proxies {
			if p.at != index {
				continue
			}
			trusting = trusting && p.trusts[o.Root]
			issuing = issuing && p.cert == o.Root
			count++
		}
		if trusting {
			stage = config.StageValidating
		}
		if issuing && r.signer == o.Root && signs(*o) {
			stage = config.StageIssuing
		} else {
			count = 0
		}
		if stage == "" {
			continue
		}
		st := o.Status.DeepCopy()
		if st.Replicas == nil {
			st.Replicas = map[string]config.MeshRootCertificateReplica{}
		}
		st.Replicas[r.name] = config.MeshRootCertificateReplica{Component: r.component, Stage: stage, Proxies: count}
		o.Status = *st
	}
}

func (s *sim) lead() {
	leader := s.replicas[0]
	in := Input{Now: s.now, Objects: slices.Clone(s.objects), Present: Present{leader.signer, leader.signer}, Sidecars: len(s.proxies),
		Replicas: map[string][]string{}, Settle: 5 * time.Second, Overlap: 30 * time.Second, Longest: simLongest}
	if !s.cross {
		in.Overlap = 1000 * time.Hour // acknowledgements alone
	}
	for _, r := range s.replicas {
		in.Replicas[r.component] = append(in.Replicas[r.component], r.name)
	}
	out := in.Advance()
	if out.Began != "" {
		s.began++
		root := s.objects[s.index(out.Began)].Root
		if s.by[root] == nil { // a root that signs again keeps the chain it had
			s.by[root] = map[string]bool{out.Before: true}
			maps.Copy(s.by[root], s.by[out.Before])
		}
		s.logf("%s begins to sign after %s", out.Began, out.Before)
	}
	for name, st := range out.Statuses {
		if i := s.index(name); i >= 0 {
			if s.objects[i].Status.State != st.State {
				s.logf("%s is %s", name, st.State)
			}
			s.objects[i].Status = st
		}
	}
}

func (s *sim) proxyMoves(p *proxy) {
	switch n := s.r.IntN(20); {
	case n == 0 && s.cross && p.at >= 0:
		p.at = -1
		s.logf("a proxy is cut off")
	case p.at < 0 && n == 1 && s.r.IntN(5) == 0:
		p.at = s.r.IntN(2)
	case p.at < 0:
		return
	}
	if p.at < 0 {
		return
	}
	r := s.replicas[p.at]
	if s.r.IntN(2) == 0 {
		p.trusts = map[string]bool{}
		for id := range r.trusts {
			p.trusts[id] = true
		}
	}
	if s.r.IntN(2) == 0 && p.cert != r.signer || s.now.Add(simLongest/2).After(p.notAfter) {
		p.cert, p.notAfter = r.signer, s.now.Add(simLongest)
	}
}

func (s *sim) accepts(trusts map[string]bool, cert string) bool {
	if trusts[cert] || !s.cross {
		return trusts[cert]
	}
	for by := range s.by[cert] {
		if trusts[by] {
			return true
		}
	}
	return false
}

func (s *sim) check() {
	for i, p := range s.proxies {
		for j, q := range s.proxies {
			if !p.notAfter.Before(s.now) && !s.accepts(q.trusts, p.cert) {
				s.t.Fatalf("proxy %d (%v) does not trust the certificate of proxy %d, of %s\n%v", j, q.trusts, i, p.cert, joinLines(s.log))
			}
		}
		for _, r := range s.replicas {
			if !s.accepts(p.trusts, r.signer) {
				s.t.Fatalf("proxy %d (%v) does not trust %s, which signs with %s\n%v", i, p.trusts, r.name, r.signer, joinLines(s.log))
			}
		}
	}
}

func joinLines(list []string) string {
	out := ""
	for _, l := range list[max(0, len(list)-60):] {
		out += l + "\n"
	}
	return out
}

func (s *sim) run(steps int) {
	for range steps {
		s.now = s.now.Add(time.Duration(s.r.IntN(4)) * time.Second)
		if s.r.IntN(40) == 0 {
			s.person()
		}
		for i, r := range s.replicas {
			if s.r.IntN(3) == 0 {
				s.hear(r)
			}
			if r.component == ComponentController && s.r.IntN(3) == 0 || r.component == ComponentInjector {
				s.acknowledge(r, i)
			}
		}
		if s.r.IntN(3) == 0 {
			s.hear(s.replicas[0])
			s.lead()
		}
		for _, p := range s.proxies {
			s.proxyMoves(p)
		}
		s.check()
	}
}

func TestNobodyMeetsACertificateItDoesNotTrust(t *testing.T) {
	for _, cross := range []bool{false, true} {
		began := 0
		for seed := range uint64(30) {
			s := newSim(t, seed, cross)
			s.run(1000)
			began += s.began
		}
		if began < 100 {
			t.Fatalf("only %d changes of root happened", began)
		}
		t.Logf("cross certificates: %v; %d changes of root", cross, began)
	}
}
