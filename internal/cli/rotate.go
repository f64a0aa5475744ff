package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/names"
)

// errDeclined ends a rotation at a step to which the user said no.
var errDeclined = errors.New("stopped before that step; run the command again to go on")

// rotator carries one rotation out.
type rotator struct {
	*app
	rotation
	roots   dynamic.ResourceInterface
	answers *bufio.Reader
}

// rotate takes the mesh from its root to another. Where a rotation has been begun it goes on with it.
func (a *app) rotate(ctx context.Context, cluster *Cluster, r rotation) error {
	exists, err := meshExists(ctx, cluster.Kube, r.meshName)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("mesh [%s] does not exist, please specify another mesh using --mesh-name or create a new mesh", r.meshName)
	}
	mesh, err := readMeshConfig(ctx, cluster.Dynamic, a.namespace)
	if err != nil {
		return a.inNamespace(fmt.Errorf("Could not read MeshConfig %s: %w", names.MeshConfig, err))
	}
	if !mesh.Spec.FeatureFlags.EnableMeshRootCertificate {
		return errors.New("the MeshConfig must have EnableMeshRootCertificate set to true")
	}
	x := &rotator{app: a, rotation: r, answers: bufio.NewReader(a.In),
		roots: cluster.Dynamic.Resource(config.MeshRootCertificates).Namespace(a.namespace)}
	old, next, err := x.choose(ctx)
	if err != nil {
		return err
	}
	if err := x.run(ctx, old, next); err != nil {
		return err
	}
	say(a.Out, "OSM successfully rotated root certificate for mesh [%s] in namespace [%s]\n", r.meshName, a.namespace)
	say(a.Out, "The new MeshRootCertificate [%s] is now active\n", next.Name)
	return nil
}

// choose finds the root that is and the one that is to come, which need not exist yet.
func (x *rotator) choose(ctx context.Context) (old, next *config.MeshRootCertificate, err error) {
	list, err := x.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := x.wanted(list)
	if err != nil {
		return nil, nil, err
	}
	with := func(role config.MeshRootCertificateRole) []*config.MeshRootCertificate {
		return slices.DeleteFunc(slices.Clone(list), func(o *config.MeshRootCertificate) bool { return o.Spec.Role != role })
	}
	active, passive := with(config.RoleActive), with(config.RolePassive)
	switch {
	case len(active) == 0:
		return nil, nil, fmt.Errorf("no MeshRootCertificate of namespace [%s] is active; where there is none at all, `osm mesh upgrade "+
			"--set=osm.featureFlags.enableMeshRootCertificate=true` makes one of the present root", x.namespace)
	case len(active)+len(passive) > 2:
		return nil, nil, fmt.Errorf("more than two MeshRootCertificates of namespace [%s] are active or passive; give all but the active one the role inactive", x.namespace)
	case len(active) == 2:
		old, next = active[0], active[1]
	case len(passive) == 1 && (wanted == nil && older(passive[0], active[0]) || wanted != nil && wanted.Name == active[0].Name):
		old, next = passive[0], active[0]
	case len(passive) == 1:
		old, next = active[0], passive[0]
	default:
		old = active[0]
	}
	if next != nil {
		if wanted != nil && wanted.Name != next.Name && wanted.Name != old.Name {
			return nil, nil, fmt.Errorf("a rotation from [%s] to [%s] has been begun; finish it by running the command without --file and --meshrootcertificate, "+
				"or give one of the two the role inactive", old.Name, next.Name)
		}
		if wanted != nil && wanted.Name == old.Name {
			old, next = next, old
		}
		say(x.Out, "Going on with the rotation from MeshRootCertificate [%s] to [%s]\n", old.Name, next.Name)
		return old, next, x.sameTrustDomain(old, next)
	}
	if wanted == nil {
		if wanted, err = x.successor(old); err != nil {
			return nil, nil, err
		}
	}
	if wanted.Name == old.Name {
		return nil, nil, fmt.Errorf("MeshRootCertificate [%s] is the active one already", old.Name)
	}
	return old, wanted, x.sameTrustDomain(old, wanted)
}

// older orders objects as the control plane does.
func older(a, b *config.MeshRootCertificate) bool { return compareAge(a, b) < 0 }

func compareAge(a, b *config.MeshRootCertificate) int {
	return cmp.Or(a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// list is all objects, the oldest first.
func (x *rotator) list(ctx context.Context) ([]*config.MeshRootCertificate, error) {
	items, err := x.roots.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the MeshRootCertificates of namespace [%s]: %w", x.namespace, err)
	}
	var out []*config.MeshRootCertificate
	for i := range items.Items {
		o, err := typedRoot(&items.Items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	slices.SortFunc(out, compareAge)
	return out, nil
}

func typedRoot(u *unstructured.Unstructured) (*config.MeshRootCertificate, error) {
	o := &config.MeshRootCertificate{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
		return nil, fmt.Errorf("MeshRootCertificate [%s] cannot be read: %w", u.GetName(), err)
	}
	return o, nil
}

// wanted is the object that the flags name; nil when they name none.
func (x *rotator) wanted(list []*config.MeshRootCertificate) (*config.MeshRootCertificate, error) {
	find := func(name string) *config.MeshRootCertificate {
		for _, o := range list {
			if o.Name == name {
				return o
			}
		}
		return nil
	}
	switch {
	case x.name != "":
		if o := find(x.name); o != nil {
			return o, nil
		}
		return nil, fmt.Errorf("MeshRootCertificate [%s] does not exist in namespace [%s]; --file makes one", x.name, x.namespace)
	case x.file != "":
		o, err := x.read()
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", x.file, err)
		}
		if have := find(o.Name); have != nil {
			return have, nil
		}
		return o, nil
	}
	return nil, nil
}

// read reads the object of --file.
func (x *rotator) read() (*config.MeshRootCertificate, error) {
	text, err := os.ReadFile(x.file)
	if x.file == "-" {
		text, err = io.ReadAll(x.In)
	}
	if err != nil {
		return nil, err
	}
	o := &config.MeshRootCertificate{}
	if err := yaml.UnmarshalStrict(text, o); err != nil {
		return nil, err
	}
	switch {
	case o.Kind != config.KindMeshRootCertificate || o.APIVersion != config.GroupVersion.String():
		return nil, fmt.Errorf("kind %q of apiVersion %q is no MeshRootCertificate of %s", o.Kind, o.APIVersion, config.GroupVersion)
	case o.Name == "":
		return nil, errors.New("metadata.name is empty; give the MeshRootCertificate a name")
	case o.Namespace != "" && o.Namespace != x.namespace:
		return nil, fmt.Errorf("metadata.namespace %q is not the control plane's, %q", o.Namespace, x.namespace)
	}
	o.Namespace = x.namespace
	return o, nil
}

// successor is a new root of the same kind as the old one, in a Secret of its own.
func (x *rotator) successor(old *config.MeshRootCertificate) (*config.MeshRootCertificate, error) {
	if old.Spec.Provider.Tresor == nil {
		return nil, fmt.Errorf("MeshRootCertificate [%s] is not of the provider tresor, so no new root can be made here; "+
			"say with --file or --meshrootcertificate which one comes next", old.Name)
	}
	id := time.Now().UTC().Format("20060102-150405")
	o := &config.MeshRootCertificate{ObjectMeta: metav1.ObjectMeta{Name: config.MeshRootCertificateName + "-" + id, Namespace: x.namespace}}
	o.Spec = *old.Spec.DeepCopy()
	o.Spec.TrustDomain = cmp.Or(x.trustDomain, old.Spec.TrustDomain)
	o.Spec.Provider.Tresor.CA.SecretRef = config.SecretReference{Name: names.CABundleSecret + "-" + id, Namespace: x.namespace}
	return o, nil
}

// sameTrustDomain refuses what the control plane would refuse.
func (x *rotator) sameTrustDomain(old, next *config.MeshRootCertificate) error {
	is := cmp.Or(old.Spec.TrustDomain, names.DefaultTrustDomain)
	for _, td := range []string{x.trustDomain, next.Spec.TrustDomain} {
		if td != "" && td != is {
			return fmt.Errorf("the trust domain [%s] is not the mesh's, [%s]; it is part of every identity and cannot be changed by a rotation", td, is)
		}
	}
	return nil
}

// run does the steps that are left.
func (x *rotator) run(ctx context.Context, old, next *config.MeshRootCertificate) error {
	if err := x.wait(ctx, old.Name, "the control plane acts on it", func(st config.MeshRootCertificateStatus) bool { return st.State != "" }); err != nil {
		return err
	}
	if err := x.trust(ctx, next); err != nil {
		return err
	}
	trusted := func(st config.MeshRootCertificateStatus) bool {
		return st.State == config.RootPassive || st.State == config.RootIssuingRollout || st.State == config.RootActive || st.State == config.RootIssuingRollback
	}
	if err := x.wait(ctx, next.Name, "everybody trusts it", trusted); err != nil {
		return err
	}
	active := func(st config.MeshRootCertificateStatus) bool { return st.State == config.RootActive }
	if next.Spec.Role != config.RoleActive {
		if err := x.setRole(ctx, next, config.RoleActive); err != nil {
			return err
		}
	}
	if older(old, next) || old.Spec.Role != config.RoleActive { // of two active ones the younger issues
		if err := x.wait(ctx, next.Name, "every certificate is issued from it", active); err != nil {
			return err
		}
	}
	if old.Spec.Role == config.RoleActive {
		if err := x.setRole(ctx, old, config.RolePassive); err != nil {
			return err
		}
		if err := x.wait(ctx, next.Name, "every certificate is issued from it", active); err != nil {
			return err
		}
	}
	return x.retire(ctx, old)
}

// trust makes the next root one that is trusted, if it is not.
func (x *rotator) trust(ctx context.Context, next *config.MeshRootCertificate) error {
	if next.UID == "" && next.ResourceVersion == "" {
		next.Spec.Role = config.RolePassive
		if err := x.ask("Create MeshRootCertificate [%s] with the role passive?", next.Name); err != nil {
			return err
		}
		next.TypeMeta = metav1.TypeMeta{APIVersion: config.GroupVersion.String(), Kind: config.KindMeshRootCertificate}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(next)
		if err != nil {
			return err
		}
		delete(content, "status")
		u, err := x.roots.Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("cannot create MeshRootCertificate [%s]: %w", next.Name, err)
		}
		next.CreationTimestamp = u.GetCreationTimestamp()
		say(x.Out, "MeshRootCertificate [%s] is created with the role passive\n", next.Name)
		return nil
	}
	if next.Spec.Role == config.RoleInactive {
		return x.setRole(ctx, next, config.RolePassive)
	}
	return nil
}

// retire takes the old root out of use and, if asked to, deletes its object. Certificates of it that are in use are waited for no
// longer than the user said: the control plane trusts them as long as it has to.
func (x *rotator) retire(ctx context.Context, old *config.MeshRootCertificate) error {
	if old.Spec.Role != config.RoleInactive {
		if err := x.setRole(ctx, old, config.RoleInactive); err != nil {
			return err
		}
	}
	inactive := func(st config.MeshRootCertificateStatus) bool { return st.State == config.RootInactive }
	if err := x.wait(ctx, old.Name, "nobody needs it", inactive); errors.Is(err, context.DeadlineExceeded) {
		say(x.Out, "Some sidecars may still hold certificates of MeshRootCertificate [%s], so it stays trusted until they have ended; nothing has to be done\n", old.Name)
	} else if err != nil {
		return err
	}
	if !x.remove {
		return nil
	}
	if err := x.ask("Delete MeshRootCertificate [%s]?", old.Name); err != nil {
		return err
	}
	if err := x.roots.Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cannot delete MeshRootCertificate [%s]: %w", old.Name, err)
	}
	say(x.Out, "MeshRootCertificate [%s] is deleted; its Secret stays, delete it when you need no way back\n", old.Name)
	return nil
}

func (x *rotator) setRole(ctx context.Context, o *config.MeshRootCertificate, role config.MeshRootCertificateRole) error {
	if err := x.ask("Give MeshRootCertificate [%s] the role %s in place of %s?", o.Name, role, o.Spec.Role); err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"spec":{"role":%q}}`, role)
	if _, err := x.roots.Patch(ctx, o.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("cannot give MeshRootCertificate [%s] the role %s: %w", o.Name, role, err)
	}
	o.Spec.Role = role
	say(x.Out, "MeshRootCertificate [%s] has the role %s\n", o.Name, role)
	return nil
}

// ask asks before a step, unless --accept was given.
func (x *rotator) ask(question string, args ...any) error {
	if x.accept {
		return nil
	}
	yes, err := confirm(x.answers, x.Out, fmt.Sprintf(question, args...), 3)
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("%w before that step; run the command again to go on", err)
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w; --accept goes on without asking", err)
	}
	if !yes {
		return errDeclined
	}
	return nil
}

// wait waits until the control plane says that an object has come so far.
func (x *rotator) wait(ctx context.Context, name, until string, so func(config.MeshRootCertificateStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, x.rotation.wait)
	defer cancel()
	var last *config.MeshRootCertificate
	for {
		u, err := x.roots.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			if last, err = typedRoot(u); err != nil {
				return err
			}
			if so(last.Status) {
				return nil
			}
			if problem := problemOf(last); problem != "" {
				return fmt.Errorf("MeshRootCertificate [%s] cannot be used: %s", name, problem)
			}
		}
		select {
		case <-ctx.Done():
			return x.late(name, until, last, ctx.Err())
		case <-time.After(x.Poll):
		}
	}
}

// problemOf is why the control plane does not use an object.
func problemOf(o *config.MeshRootCertificate) string {
	c := meta.FindStatusCondition(o.Status.Conditions, status.ConditionAccepted)
	if o.Status.State != config.RootError || c == nil || c.Status != metav1.ConditionFalse {
		return ""
	}
	return c.Message
}

func (x *rotator) late(name, until string, last *config.MeshRootCertificate, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run the command again to go on")
	}
	state := "unknown"
	if last != nil {
		state = cmp.Or(last.Status.State, "not acted on")
	}
	return lateError{fmt.Sprintf("after %s MeshRootCertificate [%s] has not come to where %s (it is %s); run the command again to go on, or see `osm check`",
		x.rotation.wait, name, until, state), err}
}

// lateError is a wait that was too short.
type lateError struct {
	text  string
	cause error
}

func (e lateError) Error() string { return e.text }
func (e lateError) Unwrap() error { return e.cause }
