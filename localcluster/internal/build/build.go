package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// KubernetesVersion is what the API server calls itself. It goes with the
// version of k8s.io/kubernetes in go.mod.
const KubernetesVersion = "v1.37.2"

// SourceEnv and CacheEnv override where sources and binaries are looked for.
const (
	SourceEnv = "LOCALCLUSTER_SOURCE"
	CacheEnv  = "LOCALCLUSTER_CACHE"
)

// programs are the commands that are built, by their folder below cmd.
var programs = []string{"localkube", "pause"}

// moduleLine identifies this module's go.mod.
const moduleLine = "module openservicemesh.io/osm/localcluster"

// Output is a folder with the built programs.
type Output struct {
	Dir string
	// Hash names the content that went in.
	Hash string
}

// Program is the path of one of the built programs.
func (o Output) Program(name string) string { return filepath.Join(o.Dir, name) }

// Source finds the folder of this module: what is given, else the environment,
// else ../localcluster beside the running program's folder, else the working
// directory or localcluster below it.
func Source(given string) (string, error) {
	candidates := []string{given, os.Getenv(SourceEnv)}
	if given == "" && candidates[1] == "" {
		if exe, err := os.Executable(); err == nil {
			candidates = append(candidates, filepath.Join(filepath.Dir(exe), "..", "localcluster"))
		}
		candidates = append(candidates, "localcluster", ".")
	}
	for _, c := range candidates {
		if c == "" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(c, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), moduleLine+"\n") {
			return filepath.Abs(c)
		}
	}
	return "", fmt.Errorf("the sources of localcluster are not found (looked in %s); name their folder with --source or %s",
		strings.Join(slices.DeleteFunc(candidates, func(s string) bool { return s == "" }), ", "), SourceEnv)
}

// CacheDir is where built programs are kept.
func CacheDir() (string, error) {
	if d := os.Getenv(CacheEnv); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set %s", err, CacheEnv)
	}
	return filepath.Join(d, "osm-localcluster"), nil
}

// Run returns the built programs, building them when they are not in the cache.
// say is told about progress, at least every 15 seconds.
func Run(ctx context.Context, source, cache string, say func(format string, args ...any)) (Output, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		if _, serr := os.Stat("/usr/local/go/bin/go"); serr != nil { // sudo often drops it from PATH
			return Output{}, errors.New("no Go toolchain in PATH; install Go 1.26 or newer, or keep it in PATH for root (`sudo env PATH=$PATH …`)")
		}
		goTool = "/usr/local/go/bin/go"
	}
	version, err := exec.CommandContext(ctx, goTool, "env", "GOVERSION").Output()
	if err != nil {
		return Output{}, fmt.Errorf("ask %s for its version: %w", goTool, err)
	}
	hash, err := Hash(source, strings.TrimSpace(string(version)))
	if err != nil {
		return Output{}, err
	}
	out := Output{Dir: filepath.Join(cache, hash), Hash: hash}
	if complete(out) {
		return out, nil
	}
	unlock, err := lock(cache)
	if err != nil {
		return Output{}, err
	}
	defer unlock()
	if complete(out) { // another build was at it
		return out, nil
	}
	prune(cache, keep)
	say("building Kubernetes %s from source; the first time this takes about ten minutes on two cores", KubernetesVersion)
	tmp, err := os.MkdirTemp(cache, building)
	if err != nil {
		return Output{}, fmt.Errorf("make the cache folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	for _, p := range programs {
		if err := compile(ctx, goTool, source, p, filepath.Join(tmp, p), say); err != nil {
			return Output{}, err
		}
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.RemoveAll(out.Dir), os.Rename(tmp, out.Dir)); err != nil {
		return Output{}, fmt.Errorf("put the binaries into the cache: %w", err)
	}
	return out, nil
}

func complete(o Output) bool {
	for _, p := range programs {
		if _, err := os.Stat(o.Program(p)); err != nil {
			return false
		}
	}
	return true
}

// Hash covers the module files, the sources of the programs, how they are
// built, and the toolchain.
func Hash(source, goVersion string) (string, error) {
	files := []string{"go.mod", "go.sum"}
	for _, p := range programs {
		err := filepath.WalkDir(filepath.Join(source, "cmd", p), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(source, path)
			files = append(files, rel)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("read the sources of %s: %w", p, err)
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s %q\n", goVersion, runtime.GOOS, runtime.GOARCH, buildArgs("", ""))
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(source, f))
		if err != nil {
			return "", fmt.Errorf("read the sources: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n", f, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// buildArgs does without -trimpath on purpose: compiled packages are then shared
// with plain `go build`, `go vet` and `go test`, and compiling Kubernetes twice
// costs ten minutes more than the paths in a binary that stays on its machine.
func buildArgs(pkg, out string) []string {
	parts := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	ldflags := []string{"-s", "-w"}
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		ldflags = append(ldflags,
			"-X", p+".gitVersion="+KubernetesVersion,
			"-X", p+".gitMajor="+parts[0],
			"-X", p+".gitMinor="+parts[1],
			"-X", p+".gitTreeState=clean")
	}
	return []string{"build", "-v", "-ldflags", strings.Join(ldflags, " "), "-o", out, pkg}
}

// compile builds one program and counts the packages that the compiler names.
func compile(ctx context.Context, goTool, source, program, out string, say func(string, ...any)) error {
	cmd := exec.CommandContext(ctx, goTool, buildArgs("./cmd/"+program, out)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	log := &packageCounter{}
	cmd.Stdout, cmd.Stderr = io.Discard, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", program, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	began := time.Now()
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("build %s: %w\n%s", program, err, log.tail())
			}
			return nil
		case <-tick.C:
			n, last := log.progress()
			say("  %s: %s, %d packages compiled, last %s", program, time.Since(began).Round(time.Second), n, last)
		}
	}
}
