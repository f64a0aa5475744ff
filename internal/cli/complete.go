package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// completionPatience bounds what one press of the Tab key may ask of a cluster. A cluster that does not answer has no names to offer;
// the shell says nothing of it.
const completionPatience = 2 * time.Second

// typed is what stands on a command line whose last word is being completed.
type typed struct {
	flags *pflag.FlagSet
	// args are what was given before the word: arguments, or the items of a list. They are not offered again.
	args []string
	word string
}

// candidates lists what a word may become. unfinished means that more is to follow each of them without a space.
type candidates func(ctx context.Context, a *app, t typed) (list []string, unfinished bool, err error)

// completedArguments are the candidates of each argument, by command; the last one goes for all that follow when there is no limit.
var completedArguments = map[string][]candidates{
	"namespace add":          {outsideMeshes},
	"namespace remove":       {monitored},
	"namespace ignore":       {namespaces},
	"describe pod":           {slashed(sidecars)},
	"describe service":       {slashed(services)},
	"describe target":        {slashed(targets)},
	"policy check-pods":      {slashed(sidecars), slashed(sidecars)},
	"policy explain":         {slashed(sidecars), slashed(services)},
	"policy check-conflicts": {words("IngressBackend")},
	"proxy get":              {words("certs", "clusters", "config_dump", "config_dump?include_eds", "listeners", "ready", "stats", "stats/prometheus"), sidecarsHere},
	"proxy set":              {words("drain_listeners", "logging?level=debug", "logging?level=error", "quitquitquit", "reset_counters"), sidecarsHere},
	"proxy status":           {slashed(sidecars)},
	"support error-info":     {errorCodes},
}

// completedFlags are the candidates of a flag's value, by the flag's name, whatever the command.
var completedFlags = map[string]candidates{
	"app-deployments": slashed(deployments),
	"app-namespaces":  monitored,
	"app-pods":        slashed(sidecars),
	"context":         contexts,
	"from-pod":        slashed(sidecars),
	"from-service":    slashed(services),
	"mesh-name":       meshNames,
	"method":          words("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"),
	"namespace":       monitored,
	"osm-namespace":   meshNamespaces,
	"to":              slashed(services),
	"to-pod":          slashed(sidecars),
}

// anyNumber are the commands that take any number of arguments.
var anyNumber = []string{"namespace add", "namespace ignore"}

// addCompletions tells the shells, through cobra, what to offer for arguments and flags of every command.
func (a *app) addCompletions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		a.addCompletions(cmd)
	}
	if !root.HasSubCommands() {
		path := strings.TrimPrefix(root.CommandPath(), root.Root().CommandPath()+" ")
		root.ValidArgsFunction = a.completeArguments(completedArguments[path], slices.Contains(anyNumber, path))
	}
	complete := func(f *pflag.Flag) {
		find := completedFlags[f.Name]
		if f.Name == "output" {
			find = words(outputJSON, outputYAML, outputWide)
			if root.Name() == "render" {
				find = words("ir", "envoy")
			}
		}
		if find != nil {
			_ = root.RegisterFlagCompletionFunc(f.Name, a.completeFlag(f, find)) // fails only when it is done twice
		}
	}
	root.LocalNonPersistentFlags().VisitAll(complete)
	root.PersistentFlags().VisitAll(complete)
}

func (a *app) completeArguments(of []candidates, more bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		i := len(args)
		if more {
			i = min(i, len(of)-1)
		}
		if i >= len(of) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offer(cmd, of[i], typed{flags: cmd.Flags(), args: args, word: word})
	}
}

// completeFlag completes a flag's value; of a list, the last item.
func (a *app) completeFlag(f *pflag.Flag, find candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := ""
		if f.Value.Type() == "stringSlice" {
			before = word[:strings.LastIndex(word, ",")+1]
		}
		list, directive := a.offer(cmd, find, typed{flags: cmd.Flags(), args: strings.Split(before, ","), word: strings.TrimPrefix(word, before)})
		for i := range list {
			list[i] = before + list[i]
		}
		return list, directive
	}
}

// offer finds candidates in time or not at all, and never says why it found none.
func (a *app) offer(cmd *cobra.Command, find candidates, t typed) ([]cobra.Completion, cobra.ShellCompDirective) {
	type found struct {
		list       []string
		unfinished bool
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	answer := make(chan found, 1)
	go func() { // a credential plug-in of the kubeconfig does not hear of ctx
		list, unfinished, err := find(ctx, a, t)
		if err != nil {
			list = nil
		}
		answer <- found{list, unfinished}
	}()
	select {
	case <-ctx.Done():
		return nil, cobra.ShellCompDirectiveNoFileComp
	case f := <-answer:
		list := slices.DeleteFunc(f.list, func(s string) bool { return !strings.HasPrefix(s, t.word) || slices.Contains(t.args, s) })
		slices.Sort(list)
		if f.unfinished {
			return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// words are candidates that no cluster is asked for.
func words(list ...string) candidates {
	return func(context.Context, *app, typed) ([]string, bool, error) { return slices.Clone(list), false, nil }
}

func errorCodes(context.Context, *app, typed) ([]string, bool, error) {
	var out []string
	for _, c := range errcode.All() {
		description, _ := errcode.Describe(c)
		first, _, _ := strings.Cut(description, "\n")
		out = append(out, string(c)+"\t"+first)
	}
	return out, false, nil
}

// contexts are those of the kubeconfig.
func contexts(_ context.Context, a *app, _ typed) ([]string, bool, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.access.Kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil, false, err
	}
	var out []string
	for name := range config.Contexts {
		out = append(out, name)
	}
	return out, false, nil
}

func meshNames(ctx context.Context, a *app, _ typed) ([]string, bool, error) {
	return ofMeshes(ctx, a, func(m mesh) string { return m.name })
}

func meshNamespaces(ctx context.Context, a *app, _ typed) ([]string, bool, error) {
	return ofMeshes(ctx, a, func(m mesh) string { return m.namespace })
}

func ofMeshes(ctx context.Context, a *app, what func(mesh) string) ([]string, bool, error) {
	cluster, err := a.Connect()
	if err != nil {
		return nil, false, err
	}
	meshes, err := listMeshes(ctx, cluster.Kube)
	var out []string
	for _, m := range meshes {
		out = append(out, what(m))
	}
	return slices.Compact(out), false, err
}

func namespaces(ctx context.Context, a *app, _ typed) ([]string, bool, error) {
	return namespacesThat(ctx, a, metav1.ListOptions{})
}

func outsideMeshes(ctx context.Context, a *app, _ typed) ([]string, bool, error) {
	return namespacesThat(ctx, a, metav1.ListOptions{LabelSelector: "!" + names.LabelMonitoredBy + ",!" + names.LabelIgnore})
}

func monitored(ctx context.Context, a *app, _ typed) ([]string, bool, error) {
	return namespacesThat(ctx, a, metav1.ListOptions{LabelSelector: names.LabelMonitoredBy})
}

func namespacesThat(ctx context.Context, a *app, which metav1.ListOptions) ([]string, bool, error) {
	cluster, err := a.Connect()
	if err != nil {
		return nil, false, err
	}
	list, err := cluster.Kube.CoreV1().Namespaces().List(ctx, which)
	return namesIn(list, err)
}

// inNamespace lists the names of one kind of objects in a namespace.
type inNamespace func(ctx context.Context, cluster *Cluster, namespace string) ([]string, bool, error)

func sidecars(ctx context.Context, cluster *Cluster, namespace string) ([]string, bool, error) {
	list, err := cluster.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: names.LabelProxyUUID})
	return namesIn(list, err)
}

func services(ctx context.Context, cluster *Cluster, namespace string) ([]string, bool, error) {
	list, err := cluster.Kube.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	return namesIn(list, err)
}

func deployments(ctx context.Context, cluster *Cluster, namespace string) ([]string, bool, error) {
	list, err := cluster.Kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	return namesIn(list, err)
}

func targets(ctx context.Context, cluster *Cluster, namespace string) ([]string, bool, error) {
	list, err := cluster.Dynamic.Resource(accessv1alpha3.TrafficTargets).Namespace(namespace).List(ctx, metav1.ListOptions{})
	return namesIn(list, err)
}

// sidecarsHere are the pods with a sidecar in the namespace of the flag --namespace.
func sidecarsHere(ctx context.Context, a *app, t typed) ([]string, bool, error) {
	cluster, err := a.Connect()
	if err != nil {
		return nil, false, err
	}
	return sidecars(ctx, cluster, t.flags.Lookup("namespace").Value.String())
}

// slashed completes <namespace>/<name>: first the namespace, among those of meshes, then the name.
func slashed(list inNamespace) candidates {
	return func(ctx context.Context, a *app, t typed) ([]string, bool, error) {
		namespace, _, chosen := strings.Cut(t.word, "/")
		if !chosen {
			out, _, err := monitored(ctx, a, t)
			for i := range out {
				out[i] += "/"
			}
			return out, true, err
		}
		cluster, err := a.Connect()
		if err != nil {
			return nil, false, err
		}
		out, _, err := list(ctx, cluster, namespace)
		for i := range out {
			out[i] = namespace + "/" + out[i]
		}
		return out, false, err
	}
}

// namesIn reads the names of a list's objects.
func namesIn(list runtime.Object, err error) (out []string, unfinished bool, _ error) {
	if err != nil {
		return nil, false, err
	}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		m, err := meta.Accessor(o)
		if err != nil {
			return fmt.Errorf("an object without a name: %w", err)
		}
		out = append(out, m.GetName())
		return nil
	})
	return out, false, err
}
