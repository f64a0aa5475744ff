package rootplan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

// MaxInUse is how many objects may have another role than inactive.
const MaxInUse = 2

// Error codes of problems, as logs and metrics show them.
const (
	CodeBadCombination = "E4019"
	CodeTooMany        = "E4020"
)

// Object is one MeshRootCertificate and the root behind it.
type Object struct {
	Name    string
	Created time.Time
	Role    config.MeshRootCertificateRole
	Status  config.MeshRootCertificateStatus
	// Root is the id of the root; empty when it cannot be used, and Problem says why.
	Root    string
	Problem Problem
	// Certificate is what the root has others trust, in PEM.
	Certificate string
}

// Problem is why an object, or a part of it, has no effect. The zero value is none.
type Problem struct {
	// Reason is one CamelCase word; Code an error code of the mesh, or empty.
	Reason, Code string
	Message      string
}

// Choice is what the objects come to. Every replica that sees the same objects makes the same.
type Choice struct {
	// Target is the object that should sign: of the active ones that can be used the youngest. Empty when there is none.
	Target string
	// Signer is the object that does sign, as the leader has written; empty before there was one.
	Signer string
	// Trusted are the objects whose roots are trusted, by name.
	Trusted []string
	// Problems are by the name of the object.
	Problems map[string]Problem
}

// Choose looks at all objects of the control plane's namespace.
func Choose(objects []Object) Choice {
	objects = current(objects)
	c := Choice{Problems: map[string]Problem{}}
	c.Signer = signerOf(objects)
	inUse := c.inUse(objects)
	var target Object
	for _, o := range objects {
		used := slices.Contains(inUse, o.Name)
		if o.Root == "" {
			if o.Problem.Message != "" {
				c.Problems[o.Name] = o.Problem
			}
			continue
		}
		if used || trustedStill(o) {
			c.Trusted = append(c.Trusted, o.Name)
		}
		if used && o.Role == config.RoleActive && (target.Name == "" || younger(o, target)) {
			target = o
		}
	}
	c.Target = target.Name
	slices.Sort(c.Trusted)
	c.combination(objects, inUse)
	return c
}

// current forgets what statuses say of a root that is no longer behind its object: somebody has replaced the Secret. The new root
// begins as that of a new object does.
func current(objects []Object) []Object {
	out := slices.Clone(objects)
	for i := range out {
		o := &out[i]
		if o.Root != "" && o.Status.Root != "" && o.Root != o.Status.Root {
			o.Status = config.MeshRootCertificateStatus{FormerRoots: o.Status.FormerRoots}
		}
	}
	return out
}

// InUse reports whether certificates of an object may be in use, whatever its role is now.
func InUse(o Object) bool { return trustedStill(o) }

// signs reports whether the leader has written that an object issues.
func signs(o Object) bool {
	return o.Status.State == config.RootIssuingRollout || o.Status.State == config.RootActive
}

// signerOf: while the leader writes two statuses one after the other, two objects can say that they sign.
func signerOf(objects []Object) string {
	var signer Object
	for _, o := range objects {
		if signs(o) && (signer.Name == "" || since(o).After(since(signer)) || since(o).Equal(since(signer)) && younger(o, signer)) {
			signer = o
		}
	}
	return signer.Name
}

func since(o Object) time.Time {
	if o.Status.SigningSince == nil {
		return time.Time{}
	}
	return o.Status.SigningSince.Time
}

// younger orders objects by their age; the name decides between those of one second.
func younger(a, b Object) bool {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name)) > 0
}

// trustedStill reports whether certificates of an object that is inactive may be in use.
func trustedStill(o Object) bool {
	switch o.Status.State {
	case config.RootIssuingRollout, config.RootActive, config.RootIssuingRollback, config.RootPassive:
		return true
	}
	return false
}

// inUse picks the objects that count. Of more than MaxInUse those stay that were in use before, and older ones: a third changes
// nothing for the two.
func (c *Choice) inUse(objects []Object) []string {
	var list []Object
	for _, o := range objects {
		if o.Root != "" && o.Role != config.RoleInactive {
			list = append(list, o)
		}
	}
	rank := func(o Object) int {
		switch {
		case o.Name == c.Signer:
			return 0
		case trustedStill(o) || o.Status.State == config.RootValidatingRollout:
			return 1
		case o.Role == config.RoleActive:
			return 2
		}
		return 3
	}
	slices.SortFunc(list, func(a, b Object) int {
		return cmp.Or(rank(a)-rank(b), a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name))
	})
	var names []string
	for i, o := range list {
		if i < MaxInUse {
			names = append(names, o.Name)
			continue
		}
		c.Problems[o.Name] = Problem{Reason: "TooManyRoots", Code: CodeTooMany, Message: fmt.Sprintf(
			"spec.role: %s: %s are in use already, and no more than %d may be; give one of them the role inactive first",
			o.Role, strings.Join(names, " and "), MaxInUse)}
	}
	return names
}

// combination finds fault with roles that do not go together: somebody has to be active.
func (c *Choice) combination(objects []Object, inUse []string) {
	if c.Target != "" {
		return
	}
	goesOn := "the root that signed before goes on signing"
	if c.Signer != "" {
		goesOn = c.Signer + " goes on signing"
	}
	for _, o := range objects {
		if _, has := c.Problems[o.Name]; has || !slices.Contains(inUse, o.Name) && o.Name != c.Signer {
			continue
		}
		c.Problems[o.Name] = Problem{Reason: "NoActiveRoot", Code: CodeBadCombination, Message: fmt.Sprintf(
			"spec.role: %s: no MeshRootCertificate that can be used is active, so %s; give one the role active", o.Role, goesOn)}
	}
}
