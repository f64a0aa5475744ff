package walkthrough

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/testkit/figure"
	"openservicemesh.io/osm/internal/version"
)

const (
	storeHost = "http://bookstore.bookstore:14001"
	storeURL  = storeHost + "/buy-a-book/new"
	policyBar = time.Second // from the API write to the first changed outcome
)

// probers are two idle pods to call from: one beside bookbuyer with its service account, one outside the mesh.
const probers = `
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: v1
kind: Pod
metadata: {name: prober, namespace: outside, labels: {app: prober}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: prober, image: "REGISTRY/osm-meshtest:TAG", args: [sleep], resources: {requests: {cpu: 10m}}}
---
apiVersion: v1
kind: Pod
metadata: {name: prober, namespace: bookbuyer, labels: {app: prober}}
spec:
  terminationGracePeriodSeconds: 1
  serviceAccountName: bookbuyer
  containers:
  - {name: prober, image: "REGISTRY/osm-meshtest:TAG", args: [sleep], resources: {requests: {cpu: 10m}}}
`

func (s *Story) applyProbers(ctx context.Context) error {
	registry := s.Registry
	if registry == "" {
		registry = "openservicemesh"
	}
	text := strings.NewReplacer("REGISTRY", registry, "TAG", version.Version).Replace(probers)
	return s.applyText(ctx, text)
}

func (s *Story) proberReady(ctx context.Context) error {
	for _, ns := range []string{"outside", "bookbuyer"} {
		if _, err := s.quiet(ctx, "kubectl", "wait", "pod", "prober", "-n", ns, "--for=condition=Ready", "--timeout=60s"); err != nil {
			return err
		}
	}
	return nil
}

// prober runs an applet in the pod beside bookbuyer.
func (s *Story) prober(ctx context.Context, args ...string) (string, error) {
	return s.cluster.Output(ctx, "kubectl", append([]string{"exec", "-n", "bookbuyer", "prober", "-c", "prober", "--", "osm-meshtest"}, args...)...)
}

// change makes a change and measures how long it takes until calls end differently: a poller inside the mesh writes the
// time of every changed outcome. The figure counts from the moment the command returned, when the API has the change;
// the time since the command was started is shown beside it.
func (s *Story) change(ctx context.Context, what, want string, do func() (string, error), prints string, then func() error) error {
	lines, stop, err := s.watch(ctx, storeURL, want)
	if err != nil {
		return err
	}
	defer stop()
	if first := <-lines; first == "" {
		return fmt.Errorf("the poller in pod bookbuyer/prober said nothing")
	}
	started := time.Now()
	out, err := do()
	if err != nil {
		return err
	}
	written := time.Now()
	if err := expect(out, prints); err != nil {
		return err
	}
	at, err := waitOutcome(lines, want, 15*time.Second)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	words, err := figure.Bar{What: what + ", in effect", Limit: policyBar}.Judge(max(0, at.Sub(written)))
	if err != nil {
		return err
	}
	s.ok("%s; %d ms after the command was started", words, at.Sub(started).Milliseconds())
	if then == nil {
		return nil
	}
	return then()
}

// watch starts a poller and returns the lines it prints.
func (s *Story) watch(ctx context.Context, url, until string) (<-chan string, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := s.cluster.Command(ctx, "kubectl", "exec", "-n", "bookbuyer", "prober", "-c", "prober", "--",
		"osm-meshtest", "watch", "-url", url, "-interval", "20ms", "-duration", "40s", "-until", until)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, nil, err
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(stdout); sc.Scan(); {
			lines <- sc.Text()
		}
	}()
	return lines, func() { cancel(); _ = cmd.Wait() }, nil
}

// waitOutcome reads the poller's lines ("<RFC 3339 time> <outcome> after <polls>") up to the first that fits.
func waitOutcome(lines <-chan string, want string, limit time.Duration) (time.Time, error) {
	re := regexp.MustCompile(want)
	var seen []string
	timeout := time.After(limit)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return time.Time{}, fmt.Errorf("no outcome like %s; seen: %s", want, strings.Join(seen, "; "))
			}
			at, outcome, _ := strings.Cut(line, " ")
			seen = append(seen, outcome)
			if re.MatchString(outcome) {
				return time.Parse(time.RFC3339Nano, at)
			}
		case <-timeout:
			return time.Time{}, fmt.Errorf("no outcome like %s within %s; seen: %s", want, limit, strings.Join(seen, "; "))
		}
	}
}
