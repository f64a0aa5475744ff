package bugreport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/names"
)

// adminPages are what is asked of each sidecar, and the files the answers go to.
var adminPages = []struct{ path, file string }{
	{"config_dump?include_eds", "config_dump.json"}, {"clusters", "clusters.txt"}, {"listeners", "listeners.txt"}, {"certs", "certs.json"},
	{"stats", "stats.txt"}, {"ready", "ready.txt"},
}

// choosePods finds the pods that the user named, each once, ordered by namespace and name.
func (c *collector) choosePods(ctx context.Context) error {
	var errs []error
	add := func(namespace string, o metav1.ListOptions) int {
		list, err := c.Kube.CoreV1().Pods(namespace).List(ctx, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("list the pods of namespace %s: %w", namespace, err))
			return 0
		}
		c.pods = append(c.pods, list.Items...)
		return len(list.Items)
	}
	meshed := metav1.ListOptions{LabelSelector: names.LabelProxyUUID}
	if c.All {
		add("", meshed)
	}
	for _, ns := range c.Namespaces {
		add(ns, meshed)
	}
	for _, name := range c.Deployments {
		ns, deployment, _ := strings.Cut(name, "/")
		d, err := c.Kube.AppsV1().Deployments(ns).Get(ctx, deployment, metav1.GetOptions{})
		if err != nil {
			errs = append(errs, fmt.Errorf("deployment %s: %w", name, err))
			continue
		}
		add(ns, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	}
	for _, name := range c.Pods {
		ns, pod, _ := strings.Cut(name, "/")
		p, err := c.Kube.CoreV1().Pods(ns).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			errs = append(errs, fmt.Errorf("pod %s: %w", name, err))
			continue
		}
		c.pods = append(c.pods, *p)
	}
	key := func(p corev1.Pod) string { return p.Namespace + "/" + p.Name }
	slices.SortFunc(c.pods, func(a, b corev1.Pod) int { return cmp.Compare(key(a), key(b)) })
	c.pods = slices.CompactFunc(c.pods, func(a, b corev1.Pod) bool { return key(a) == key(b) })
	return errors.Join(errs...)
}

func (c *collector) appNamespaces(ctx context.Context) error {
	err := c.choosePods(ctx)
	var list []string
	for _, p := range c.pods {
		list = append(list, p.Namespace)
	}
	for _, ns := range slices.Compact(list) { // the pods are ordered by namespace
		c.listing(ctx, "namespaces/"+ns+"/services.yaml", services, ns, metav1.ListOptions{})
		c.listing(ctx, "namespaces/"+ns+"/deployments.yaml", deployments, ns, metav1.ListOptions{})
		c.events(ctx, "namespaces/"+ns+"/events.txt", ns)
	}
	if len(c.pods) == 0 && err == nil {
		c.say("  no pods were chosen; --all, --app-namespaces, --app-deployments and --app-pods choose some\n")
	}
	return err
}

func (c *collector) appPods(ctx context.Context) error {
	return c.eachPod(ctx, c.pods, "pods/")
}

// eachPod writes the state of pods, several at a time, and tells of them in order.
func (c *collector) eachPod(ctx context.Context, pods []corev1.Pod, folder string) error {
	const atOnce = 4
	told := make([]chan string, len(pods))
	free := make(chan struct{}, atOnce)
	for i := range pods {
		told[i] = make(chan string, 1)
		go func() {
			free <- struct{}{}
			defer func() { <-free }()
			var text strings.Builder
			one := &collector{World: c.World, Options: c.Options, dir: c.dir, out: &text}
			if ctx.Err() == nil {
				one.appPod(ctx, &pods[i], folder)
			}
			told[i] <- text.String()
		}()
	}
	for _, ch := range told {
		c.say("%s", <-ch)
	}
	return ctx.Err()
}

func (c *collector) appPod(ctx context.Context, p *corev1.Pod, root string) {
	folder := root + p.Namespace + "/" + p.Name + "/"
	item, err := c.Dynamic.Resource(podsGVR).Namespace(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	var text []byte
	if err == nil {
		object(item.Object)
		text, err = yaml.Marshal(item.Object)
	}
	c.file(folder+"pod.yaml", text, err)
	c.logs(ctx, folder+"logs/", p)
	if p.Labels[names.LabelProxyUUID] == "" || p.Status.Phase != corev1.PodRunning {
		return
	}
	for _, page := range adminPages {
		text, err := c.Get(ctx, p.Namespace, p.Name, names.PortEnvoyAdmin, page.path)
		c.file(folder+page.file, text, err)
	}
}

// ingress collects the pods of the ingress controllers that users of the mesh have.
func (c *collector) ingress(ctx context.Context) error {
	selector := names.LabelAppName + " in (ingress-nginx,nginx-ingress,contour,osm-contour)"
	list, err := c.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		c.say("  no pods of ingress controllers were found\n")
	}
	return c.eachPod(ctx, list.Items, "ingress/")
}
