package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/test/guides"
)

// TestGuides runs the pages of docs/guides/demos as a user does who copies every command into a shell at the root of the
// repository, and wants to see what the pages show. A change needs a moment to arrive, so a command is repeated until it
// prints that, for a while.
func TestGuides(t *testing.T) {
	installedMesh(t)
	peers(t, "contour", "curl", "fortio", "httpbin", "nginx", "prometheus", "ratelimit", "redis")
	files, err := filepath.Glob("../../docs/guides/demos/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return installsMesh(readPage(t, f)) }) // see TestCertManager
	going := leaving{}
	for len(files) > 0 {
		// Namespaces take a while to go, so pages that use others come between.
		next := max(0, slices.IndexFunc(files, func(f string) bool { return !going.used(readPage(t, f)) }))
		file := files[next]
		files = slices.Delete(files, next, next+1)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) { runPage(t, file, going) })
	}
	for ns := range going {
		going.wait(t, ns)
	}
}

// installsMesh says whether a page wants a cluster without a mesh.
func installsMesh(steps []guides.Step) bool {
	return slices.ContainsFunc(steps, func(s guides.Step) bool { return strings.HasPrefix(s.Command, "osm install") })
}

func readPage(t *testing.T, file string) []guides.Step {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := guides.Read(string(text))
	if err != nil {
		t.Fatal(file, err)
	}
	return steps
}

// leaving is the namespaces that are being deleted, and how each deletion ends.
type leaving map[string]<-chan error

const (
	createsNamespace = "kubectl create namespace "
	deletesNamespace = "kubectl delete namespace "
)

// used says whether a page makes a namespace that is still going.
func (l leaving) used(steps []guides.Step) bool {
	return slices.ContainsFunc(steps, func(s guides.Step) bool {
		ended, found := l[strings.TrimPrefix(s.Command, createsNamespace)]
		return found && len(ended) == 0
	})
}

func (l leaving) wait(t *testing.T, namespace string) {
	t.Helper()
	if ended, found := l[namespace]; found {
		delete(l, namespace)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// remove runs a page's last command, one for each of its namespaces, and does not wait for them.
func (l leaving) remove(ctx context.Context, command string) {
	for _, ns := range strings.Fields(strings.TrimPrefix(command, deletesNamespace)) {
		ended := make(chan error, 1)
		l[ns] = ended
		go func() {
			_, err := mesh.Run(ctx, "bash", "-c", deletesNamespace+ns)
			ended <- err
		}()
	}
}

func runPage(t *testing.T, file string, going leaving) {
	meshConfig(t, `{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":false}}}`)
	sh := newShell(t)
	for _, s := range readPage(t, file) {
		if t.Failed() && !s.Cleanup {
			continue
		}
		if s.Cleanup && strings.HasPrefix(s.Command, deletesNamespace) {
			going.remove(context.WithoutCancel(t.Context()), s.Command)
			continue
		}
		if ns, creates := strings.CutPrefix(s.Command, createsNamespace); creates {
			going.wait(t, ns)
			gone(t, ns)
		}
		if err := sh.step(s); err != nil {
			t.Errorf("%s:%d: %v", filepath.Base(file), s.Line, err)
		}
	}
}

// shell is one bash for all commands of a page, since they set variables.
type shell struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	file string
}

const shellEnd = "--- end of command:"

func newShell(t *testing.T) *shell {
	t.Helper()
	cmd := mesh.Command(context.WithoutCancel(t.Context()), "bash")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return &shell{t: t, in: in, out: bufio.NewReader(r), file: filepath.Join(t.TempDir(), "command")}
}

// run runs a command and returns what it printed, and the exit code of its last line.
func (s *shell) run(command string) (printed string, code int, err error) {
	if err := os.WriteFile(s.file, []byte(command+"\n"), 0o600); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Fprintf(s.in, "source %s </dev/null; printf '\\n%s%%d\\n' $?\n", s.file, shellEnd); err != nil {
		return "", 0, err
	}
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return b.String(), 0, err
		}
		if at, found := strings.CutPrefix(line, shellEnd); found {
			_, err := fmt.Sscanf(at, "%d", &code)
			return strings.TrimSuffix(b.String(), "\n"), code, err
		}
		b.WriteString(line)
	}
}

// step runs a command until it prints what the page shows. One that shows nothing has to succeed at once.
func (s *shell) step(step guides.Step) error {
	deadline := time.Now().Add(30 * time.Second)
	for first := true; ; first = false {
		begin := time.Now()
		printed, code, err := s.run(step.Command)
		if err != nil {
			return err
		}
		wrong := step.Check(printed)
		if wrong == nil && code != 0 && !step.Exit() {
			wrong = fmt.Errorf("exit code %d", code)
		}
		if wrong == nil {
			s.t.Logf("%5.1f s  %s", time.Since(begin).Seconds(), strings.SplitN(step.Command, "\n", 2)[0])
			return nil
		}
		if len(step.Output) == 0 || time.Now().After(deadline) {
			return fmt.Errorf("%w\n$ %s\n%s", wrong, step.Command, printed)
		}
		if first {
			s.t.Logf("not yet, %v:\n$ %s\n%s", wrong, step.Command, printed)
		}
		time.Sleep(500 * time.Millisecond)
	}
}
