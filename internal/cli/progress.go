package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
)

// progress follows the pods of a control plane while it comes up, says each change in one line, and remembers the last
// state of each pod, so that the cause of a failure can be told even when the pods are gone again.
type progress struct {
	out       io.Writer
	kube      kubernetes.Interface
	namespace string
	// since separates the pods of this run from those of an earlier one.
	since time.Time

	mu   sync.Mutex
	said map[string]string
	pods map[string]corev1.Pod
}

// controlPlaneApps selects the control plane's pods and those of the hooks around it.
var controlPlaneApps = fmt.Sprintf("%s in (%s,%s,%s,osm-preinstall)", names.LabelApp, names.Bootstrap, names.Controller, names.Injector)

// follow watches until the returned function is called, which waits for the last look.
func (p *progress) follow(ctx context.Context, every time.Duration) (stop func()) {
	p.said, p.pods = map[string]string{}, map[string]corev1.Pod{}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			p.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-done }
}

// look lists the pods once and says what changed. A failed list says nothing: the next one will.
func (p *progress) look(ctx context.Context) {
	list, err := p.kube.CoreV1().Pods(p.namespace).List(ctx, metav1.ListOptions{LabelSelector: controlPlaneApps})
	if err != nil {
		return
	}
	slices.SortFunc(list.Items, func(x, y corev1.Pod) int { return cmp.Compare(x.Name, y.Name) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range list.Items {
		if pod.DeletionTimestamp != nil {
			continue
		}
		p.pods[pod.Name] = pod
		if state := podState(&pod); p.said[pod.Name] != state {
			p.said[pod.Name] = state
			say(p.out, "%s: %s\n", pod.Name, state)
		}
	}
}

// podState is the state of a pod in a few words: ready, or what it waits for.
func podState(pod *corev1.Pod) string {
	if podReady(pod) {
		return "ready"
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return "done"
	case corev1.PodFailed:
		return "failed"
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := c.State.Waiting; w != nil && w.Reason != "" && w.Reason != "PodInitializing" {
			return "waiting, " + w.Reason
		}
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return fmt.Sprintf("stopped with exit code %d", t.ExitCode)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "waiting, " + cmp.Or(c.Reason, "not scheduled")
		}
	}
	if pod.Status.Phase == corev1.PodRunning {
		return "running, not ready yet"
	}
	return "pending"
}

// explain writes, for each pod that was not ready when last seen, what is known of why: containers that wait, how they
// ended last time, and the newest warnings.
func (p *progress) explain(ctx context.Context, out io.Writer) {
	p.mu.Lock()
	pods := make([]corev1.Pod, 0, len(p.pods))
	for _, pod := range p.pods {
		pods = append(pods, pod)
	}
	p.mu.Unlock()
	slices.SortFunc(pods, func(x, y corev1.Pod) int { return cmp.Compare(x.Name, y.Name) })
	if len(pods) == 0 {
		p.explainAbsence(ctx, out)
		return
	}
	for _, pod := range pods {
		if podReady(&pod) || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		say(out, "Pod %s in namespace %s is not ready: %s\n", pod.Name, pod.Namespace, podState(&pod))
		told := explainContainers(out, &pod)
		p.explainEvents(ctx, out, pod.Name, told)
	}
}

// explainContainers tells whether it wrote why a container waits.
func explainContainers(out io.Writer, pod *corev1.Pod) (told bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
			say(out, "  not scheduled: %s\n", c.Message)
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := c.State.Waiting; w != nil && w.Message != "" {
			say(out, "  container %s (image %s) waits: %s: %s\n", c.Name, c.Image, w.Reason, w.Message)
			told = true
		}
		for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if t == nil || t.ExitCode == 0 {
				continue
			}
			say(out, "  container %s stopped with exit code %d (%s)\n", c.Name, t.ExitCode, cmp.Or(t.Reason, "Error"))
			firstLines(out, t.Message, "    ", 10)
			break
		}
	}
	return told
}

// explainAbsence tells why there are no pods at all: quotas and admission refuse them with events on their owner.
func (p *progress) explainAbsence(ctx context.Context, out io.Writer) {
	list, err := p.kube.CoreV1().Events(p.namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
	if err != nil {
		return
	}
	for _, e := range newest(list.Items, p.since, 5) {
		say(out, "%s %s in namespace %s: %s: %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, p.namespace, e.Reason, e.Message)
	}
}

// explainEvents writes the newest warnings about a pod, without those that repeat why a container waits when that is told.
func (p *progress) explainEvents(ctx context.Context, out io.Writer, name string, told bool) {
	fields := fmt.Sprintf("type=%s,involvedObject.kind=Pod,involvedObject.name=%s", corev1.EventTypeWarning, name)
	list, err := p.kube.CoreV1().Events(p.namespace).List(ctx, metav1.ListOptions{FieldSelector: fields})
	if err != nil {
		return
	}
	mine := slices.DeleteFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Name != name || told && (e.Reason == "BackOff" || e.Reason == "Failed")
	})
	for _, e := range newest(mine, p.since, 3) {
		say(out, "  %s: %s\n", e.Reason, strings.TrimSpace(e.Message))
	}
}

// newest returns at most n events of this run, oldest first.
func newest(events []corev1.Event, since time.Time, n int) []corev1.Event {
	events = slices.DeleteFunc(events, func(e corev1.Event) bool { return eventTime(e).Before(since) })
	slices.SortFunc(events, func(x, y corev1.Event) int { return eventTime(x).Compare(eventTime(y)) })
	return events[max(0, len(events)-n):]
}

func eventTime(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// printStatuses prints the whole status of each control-plane pod, as --verbose promises.
func (p *progress) printStatuses(out io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.pods)) {
		pod := p.pods[name]
		say(out, "Status for pod %s in namespace %s:\n %v\n\n", pod.Name, pod.Namespace, pod.Status.String())
	}
}
