package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"openservicemesh.io/osm/bench/internal/oncluster"
	"openservicemesh.io/osm/bench/internal/proc"
	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/figure"
	"openservicemesh.io/osm/internal/version"
)

// The namespaces: one in the mesh, one not.
const inMesh, outside = "bench-life-mesh", "bench-life-outside"

const startLimit = 90 * time.Second

func (b *bench) namespaces(ctx context.Context) error {
	for _, ns := range []string{inMesh, outside} {
		if _, err := b.cluster.Run(ctx, "kubectl", "delete", "namespace", ns, "--ignore-not-found", "--wait"); err != nil {
			return err
		}
		if _, err := b.cluster.Run(ctx, "kubectl", "create", "namespace", ns); err != nil {
			return err
		}
	}
	_, err := b.cluster.Run(ctx, "osm", "namespace", "add", inMesh)
	return err
}

// timing is how long after a pod's creation something was.
type timing struct {
	// runs is its application's process, configured its sidecar with all it was to be given, ready the pod.
	runs, configured, ready time.Duration
}

// starts starts the same pod in and outside the mesh, in turns.
func (b *bench) starts(ctx context.Context, n int) error {
	oncluster.Progress("starting pods")
	took := map[string][]timing{}
	for round := range n {
		order := []string{outside, inMesh}
		if round%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, ns := range order {
			one, err := b.startOne(ctx, ns)
			if err != nil {
				return err
			}
			took[ns] = append(took[ns], one)
		}
	}
	configured := func(t timing) time.Duration { return t.configured }
	runs := func(t timing) time.Duration { return t.runs }
	ready := func(t timing) time.Duration { return t.ready }
	b.added("pod created → sidecar configured, over the same pod without mesh (its application runs)", took, configured, runs, 1, 0.4)
	b.added("pod created → application runs, over the same pod without mesh", took, runs, runs, 0, 0)
	b.added("pod created → ready, over the same pod without mesh", took, ready, ready, 0, 0)
	return nil
}

func (b *bench) added(name string, took map[string][]timing, with, without func(timing) time.Duration, must, aim float64) {
	var w, wo, added []float64
	for i := range took[inMesh] {
		w, wo = append(w, with(took[inMesh][i]).Seconds()), append(wo, without(took[outside][i]).Seconds())
		added = append(added, w[i]-wo[i])
	}
	b.table.Add(report.Row{
		Name: name, Figure: report.Median(w) - report.Median(wo), Unit: "s", Must: must, Aim: aim, Runs: len(added), Spread: report.Spread(added),
		Note: fmt.Sprintf("%.2f s with, %.2f s without", report.Median(w), report.Median(wo)),
	})
}

// kubeletLooks is how often the kubelet looks at its containers. A pod that was created as soon as the one before is gone would always
// meet it at the same moment.
const kubeletLooks = time.Second

// startOne starts a pod, looks at it, and removes it.
func (b *bench) startOne(ctx context.Context, ns string) (timing, error) {
	const name = "start"
	time.Sleep(rand.N(kubeletLooks))
	created := time.Now()
	uid, took, err := b.start(ctx, ns, pod(name, "sleep"))
	if err != nil {
		return timing{}, err
	}
	out := timing{ready: took}
	if out.runs, err = startedAfter(created, uid, "osm-meshtest"); err != nil {
		return timing{}, err
	}
	if ns == inMesh {
		began, err := startedAfter(created, uid, "envoy")
		if err != nil {
			return timing{}, err
		}
		needed, err := b.initialization(ctx, ns, name)
		if err != nil {
			return timing{}, err
		}
		out.configured = began + needed
	}
	return out, b.remove(ctx, ns, name)
}

func startedAfter(created time.Time, uid, program string) (time.Duration, error) {
	pid, err := proc.InPod(uid, program)
	if err != nil {
		return 0, err
	}
	began, err := proc.Started(pid)
	return began.Sub(created), err
}

// initialization asks a sidecar how long it took from its start until every initial resource had arrived.
func (b *bench) initialization(ctx context.Context, ns, name string) (time.Duration, error) {
	var unread error
	for began := time.Now(); time.Since(began) < startLimit; time.Sleep(time.Second) {
		out, err := b.cluster.Run(ctx, "osm", "proxy", "get", "stats?filter=server.initialization_time_ms", name, "-n", ns)
		if err != nil {
			return 0, err
		}
		var took time.Duration
		if took, unread = figure.Initialization(out); unread == nil {
			return took, nil
		}
	}
	return 0, fmt.Errorf("the sidecar of %s/%s does not tell how long it took: %w", ns, name, unread)
}

// start creates a pod and returns its UID and the time until it was ready, as a watch of it tells.
func (b *bench) start(ctx context.Context, ns string, p *corev1.Pod) (uid string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	pods := b.client.CoreV1().Pods(ns)
	w, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + p.Name})
	if err != nil {
		return "", 0, fmt.Errorf("watch pod %s/%s: %w", ns, p.Name, err)
	}
	defer w.Stop()
	began := time.Now()
	if _, err := pods.Create(ctx, p, metav1.CreateOptions{}); err != nil {
		return "", 0, fmt.Errorf("create pod %s/%s: %w", ns, p.Name, err)
	}
	for e := range w.ResultChan() {
		if is, ok := e.Object.(*corev1.Pod); ok && ready(is) {
			return string(is.UID), time.Since(began), nil
		}
	}
	return "", 0, fmt.Errorf("pod %s/%s was not ready within %s", ns, p.Name, startLimit)
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// remove deletes a pod and waits until it is gone.
func (b *bench) remove(ctx context.Context, ns, name string) error {
	pods := b.client.CoreV1().Pods(ns)
	w, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return fmt.Errorf("watch pod %s/%s: %w", ns, name, err)
	}
	defer w.Stop()
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete pod %s/%s: %w", ns, name, err)
	}
	for e := range w.ResultChan() {
		if e.Type == watch.Deleted {
			return nil
		}
	}
	return fmt.Errorf("pod %s/%s did not go", ns, name)
}

// pod is one container of the project's test program.
func pod(name string, args ...string) *corev1.Pod {
	grace := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers:                    []corev1.Container{{Name: "app", Image: "openservicemesh/osm-meshtest:" + version.Version, Args: args}},
		},
	}
}

// service makes a Service before the pods of a name.
func (b *bench) service(ctx context.Context, ns, name string, port int) error {
	_, err := b.cluster.Run(ctx, "kubectl", "create", "service", "clusterip", name, "-n", ns, fmt.Sprintf("--tcp=%d:%d", port, port))
	if err != nil && strings.Contains(err.Error(), "AlreadyExists") {
		return nil
	}
	return err
}
