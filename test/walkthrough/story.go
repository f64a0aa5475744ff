package walkthrough

import (
	"context"
	"fmt"
	"io"
	"time"

	"openservicemesh.io/osm/internal/testkit/cluster"
)

// Options choose how the story is told.
type Options struct {
	Cluster *cluster.Cluster
	Out     io.Writer
	// Namespace is the control plane's.
	Namespace string
	// Managed installs with the values preset for a managed extension.
	Managed bool
	// Registry is where the cluster pulls the project's images from; empty means they are there already.
	Registry string
	// KeepMesh leaves out the last step, so that there is something to look at.
	KeepMesh bool
}

// Story is one telling.
type Story struct {
	Options
	shell
	began time.Time
}

type step struct {
	title string
	run   func(*Story, context.Context) error
}

var steps = []step{
	{"0. Start from nothing", (*Story).clean},
	{"1. Install", (*Story).install},
	{"2. Applications before the mesh", (*Story).applications},
	{"3. Onboard", (*Story).onboard},
	{"4. Deny by default", (*Story).deny},
	{"5. Allow by policy", (*Story).allow},
	{"6. Canary", (*Story).canary},
}

// Run tells the story and ends at the first thing that is not as it should be.
func Run(ctx context.Context, o Options) error {
	list := steps
	if !o.KeepMesh {
		list = append(list[:len(list):len(list)], step{"7. Remove", (*Story).remove})
	}
	return o.tell(ctx, list)
}

// Remove tells the last step alone, after a Run that kept the mesh.
func Remove(ctx context.Context, o Options) error {
	return o.tell(ctx, []step{{"7. Remove", (*Story).remove}})
}

func (o Options) tell(ctx context.Context, list []step) error {
	s := &Story{Options: o, shell: shell{cluster: o.Cluster, out: o.Out}, began: time.Now()}
	for _, st := range list {
		s.title(st.title)
		began := time.Now()
		if err := st.run(s, ctx); err != nil {
			s.diagnose(ctx)
			return fmt.Errorf("step %q in %s: %w", st.title, o.Namespace, err)
		}
		s.say("   (step %s took %.0f s)", st.title[:1], time.Since(began).Seconds())
	}
	s.say("\nThe walk-through in %s: every step as it should be, %.0f s.", o.Namespace, time.Since(s.began).Seconds())
	return nil
}

// diagnose shows what a person would look at first when a step failed.
func (s *Story) diagnose(ctx context.Context) {
	s.say("\n--- what the cluster looks like")
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", s.Namespace, "-l", "app=osm-controller", "--tail=40"},
		{"logs", "-n", s.Namespace, "-l", "app=osm-injector", "--tail=20"},
		{"logs", "-n", s.Namespace, "-l", "app=osm-bootstrap", "--tail=20"},
	} {
		_, _ = s.show(ctx, 60, "kubectl", args...)
	}
}
