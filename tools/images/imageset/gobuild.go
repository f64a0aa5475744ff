package imageset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

const modulePath = "openservicemesh.io/osm"

// Module is the checkout the programs are compiled from, and what is stamped
// into them.
type Module struct {
	// Root is the folder of go.mod.
	Root string
	// Version, Commit and Date fill the variables of internal/version.
	Version, Commit, Date string
}

// FindModule looks for the module's root from dir upwards and asks git, where
// there is one, for the commit and its date. Uncommitted changes make the
// commit end in "-dirty".
func FindModule(ctx context.Context, dir, version string) (Module, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return Module{}, err
	}
	for {
		data, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module "+modulePath+"\n")) {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			return Module{}, fmt.Errorf("no go.mod of %s in %s or above: run this inside a checkout", modulePath, dir)
		}
		root = parent
	}
	m := Module{Root: root, Version: version, Commit: "unknown", Date: "unknown"}
	if out, err := git(ctx, root, "log", "-1", "--format=%H %cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"); err == nil {
		m.Commit, m.Date, _ = strings.Cut(strings.TrimSpace(out), " ")
		if out, err := git(ctx, root, "status", "--porcelain", "--untracked-files=no"); err == nil && out != "" {
			m.Commit += "-dirty"
		}
	}
	return m, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	return string(out), err
}

// Compile builds the programs of specs, statically, into dir, and answers
// each image's binary by image name. The binaries stay in dir: what did not
// change is not linked again.
func (m Module) Compile(ctx context.Context, dir, arch string, specs []Spec) (map[string]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	binaries := map[string]string{}
	// Demonstration programs carry no version, so that they stay the same
	// from commit to commit: the flags are part of a program's build ID.
	var product, demo []string
	type build struct{ module, tags string }
	others := map[build][]string{}
	var missing []error
	for _, s := range specs {
		if s.Package == "" {
			continue
		}
		if s.Module != "" {
			binaries[s.Name] = filepath.Join(dir, path.Base(s.Package))
			b := build{s.Module, s.Tags}
			others[b] = append(others[b], s.Package)
			continue
		}
		if _, err := os.Stat(filepath.Join(m.Root, s.Package)); err != nil {
			missing = append(missing, fmt.Errorf("image %s: its program %s does not exist in %s; write it, or name only the images you want", s.Name, s.Package, m.Root))
			continue
		}
		binaries[s.Name] = filepath.Join(dir, path.Base(s.Package))
		if strings.HasPrefix(s.Package, "./demo/") {
			demo = append(demo, s.Package)
		} else {
			product = append(product, s.Package)
		}
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for b, packages := range others {
		other := Module{Root: filepath.Join(m.Root, b.module)}
		if err := other.compile(ctx, dir, arch, b.tags, "-s -w", packages); err != nil {
			return nil, err
		}
	}
	if err := m.compile(ctx, dir, arch, "", "-s -w", demo); err != nil {
		return nil, err
	}
	return binaries, m.compile(ctx, dir, arch, "", "-s -w"+m.stamp(), product)
}

// compile builds all packages in one invocation of the Go tool.
func (m Module) compile(ctx context.Context, dir, arch, tags, linkerFlags string, packages []string) error {
	if len(packages) == 0 {
		return nil
	}
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-tags", tags, "-ldflags", linkerFlags, "-o", dir + "/"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = m.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling %s for %s: %w\n%s", strings.Join(packages, " "), arch, err, out)
	}
	return nil
}

// stamp is the linker flags that fill internal/version.
func (m Module) stamp() string {
	pkg := " -X " + modulePath + "/internal/version."
	return pkg + "Version=" + m.Version + pkg + "GitCommit=" + m.Commit + pkg + "BuildDate=" + m.Date
}
