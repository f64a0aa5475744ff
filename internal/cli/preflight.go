package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	rcommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	authv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/coexist"
)

// mayInstall says why a mesh may not be installed beside those that exist, or nil. The chart's preinstall job, which `helm install`
// runs, asks the same inside the cluster; asked here, nothing is changed when the answer is no.
func mayInstall(existing []mesh, namespace string, enforce bool) error {
	var meshes []coexist.Mesh
	for _, m := range existing {
		meshes = append(meshes, coexist.Mesh{Name: m.name, Namespace: m.namespace, Only: m.single})
	}
	return coexist.Refusal(coexist.Obstacles(coexist.Mesh{Namespace: namespace, Only: enforce}, meshes))
}

// lastRelease returns the newest release of a name, nil when there is none.
func lastRelease(cfg *action.Configuration, name string) *release.Release {
	history, err := cfg.Releases.History(name)
	if err != nil {
		return nil
	}
	var last *release.Release
	for _, r := range history {
		if rel, ok := r.(*release.Release); ok && (last == nil || rel.Version > last.Version) {
			last = rel
		}
	}
	return last
}

// replaceable tells whether a release is the remains of an installation that failed before it made a control plane.
// Without this a first failure would stand in the way of every later try.
func replaceable(rel *release.Release, meshes []mesh, namespace string) bool {
	if rel.Info.Status != rcommon.StatusFailed && rel.Info.Status != rcommon.StatusUninstalled {
		return false
	}
	return !slices.ContainsFunc(meshes, func(m mesh) bool { return m.name == rel.Name && m.namespace == namespace })
}

// renderOffline renders the chart as it would be installed, without touching the cluster: what comes back is the whole
// list of objects, and what fails is the user's values.
func renderOffline(ctx context.Context, c *chart.Chart, vals map[string]any, name, namespace, serverVersion string) (*release.Release, error) {
	dry := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	dry.DryRunStrategy = action.DryRunClient
	dry.ReleaseName, dry.Namespace = name, namespace
	dry.WaitStrategy = kube.HookOnlyStrategy
	version, err := common.ParseKubeVersion(serverVersion)
	if err != nil {
		return nil, fmt.Errorf("the cluster's version %q: %w", serverVersion, err)
	}
	dry.KubeVersion = version
	// Helm's rendering writes into the values it is given.
	rel, err := dry.RunWithContext(ctx, c, deepCopy(vals))
	if err != nil {
		return nil, err
	}
	return rel.(*release.Release), nil
}

func deepCopy(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if sub, ok := v.(map[string]any); ok {
			v = deepCopy(sub)
		}
		out[k] = v
	}
	return out
}

// right is the right to create one kind of object; an empty namespace means the whole cluster.
type right struct {
	group, resource, namespace string
}

func (r right) String() string {
	s := r.resource
	if r.group != "" {
		s += "." + r.group
	}
	if r.namespace != "" {
		s += " in namespace " + r.namespace
	}
	return s
}

// clusterScoped are the kinds of the chart that live outside namespaces.
var clusterScoped = map[string]bool{"ClusterRole": true, "ClusterRoleBinding": true}

// neededRights lists what the installer creates: the chart's objects, Helm's record, and the namespace when it is missing.
func neededRights(rel *release.Release, namespace string, namespaceMissing bool) ([]right, error) {
	set := map[right]bool{{resource: "secrets", namespace: namespace}: true}
	if namespaceMissing {
		set[right{resource: "namespaces"}] = true
	}
	docs := strings.Split(rel.Manifest, "\n---")
	for _, h := range rel.Hooks {
		docs = append(docs, h.Manifest)
	}
	for _, doc := range docs {
		var head struct {
			metav1.TypeMeta `json:",inline"`
			Metadata        metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			return nil, fmt.Errorf("read the rendered chart: %w", err)
		}
		if head.Kind == "" {
			continue
		}
		gvr, _ := meta.UnsafeGuessKindToResource(schema.FromAPIVersionAndKind(head.APIVersion, head.Kind))
		r := right{group: gvr.Group, resource: gvr.Resource}
		if !clusterScoped[head.Kind] {
			r.namespace = cmp.Or(head.Metadata.Namespace, namespace)
		}
		set[r] = true
	}
	rights := make([]right, 0, len(set))
	for r := range set {
		rights = append(rights, r)
	}
	slices.SortFunc(rights, func(x, y right) int { return cmp.Compare(x.String(), y.String()) })
	return rights, nil
}

// missingRights asks the API server for each right. Rights it will not speak about count as held: the installation itself
// will tell.
func missingRights(ctx context.Context, client kubernetes.Interface, rights []right) []string {
	var mu sync.Mutex
	var missing []string
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, r := range rights {
		group.Go(func() error {
			review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authv1.ResourceAttributes{Verb: "create", Group: r.group, Resource: r.resource, Namespace: r.namespace},
			}}
			answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err == nil && !answer.Status.Allowed {
				mu.Lock()
				missing = append(missing, r.String())
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // no goroutine fails
	slices.Sort(missing)
	return missing
}

// namespaceMissing tells whether the namespace has yet to be made. Who may not look is taken to have it: whoever runs in
// one namespace only cannot read namespaces.
func namespaceMissing(ctx context.Context, client kubernetes.Interface, name string) bool {
	_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// firstLines returns at most n lines of text that are not blank, indented.
func firstLines(w io.Writer, text, indent string, n int) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if n == 0 {
			return
		}
		if strings.TrimSpace(line) != "" {
			say(w, "%s%s\n", indent, line)
			n--
		}
	}
}
