package imageset

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pushed is one image in a registry.
type Pushed struct {
	// Reference includes the tag, Digest is what a manifest may pin.
	Reference, Digest string
}

// Push builds o.Specs for each of the architectures and pushes them to
// o.Registry: a plain image for one architecture, an index for several.
// Credentials come from the user's docker configuration. insecure allows
// plain HTTP.
func Push(ctx context.Context, o Options, architectures []string, insecure bool) ([]Pushed, error) {
	images := map[string][]v1.Image{}
	for _, arch := range architectures {
		o.Arch = arch
		contents, err := o.contents(ctx)
		if err != nil {
			return nil, err
		}
		for _, c := range contents {
			img, err := c.image()
			if err != nil {
				return nil, err
			}
			images[c.spec.Name] = append(images[c.spec.Name], img)
		}
	}
	var pushed []Pushed
	for _, s := range o.Specs {
		reference := o.Registry + "/" + s.Name + ":" + o.Tag
		p, err := push(ctx, reference, images[s.Name], architectures, insecure)
		if err != nil {
			return pushed, fmt.Errorf("pushing image %s: %w", reference, err)
		}
		pushed = append(pushed, p)
	}
	return pushed, nil
}

func push(ctx context.Context, reference string, images []v1.Image, architectures []string, insecure bool) (Pushed, error) {
	var nameOptions []name.Option
	if insecure {
		nameOptions = append(nameOptions, name.Insecure)
	}
	tag, err := name.NewTag(reference, nameOptions...)
	if err != nil {
		return Pushed{}, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if len(images) == 1 {
		digest, err := images[0].Digest()
		if err != nil {
			return Pushed{}, err
		}
		return Pushed{reference, digest.String()}, remote.Write(tag, images[0], options...)
	}
	index := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for i, img := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architectures[i]}},
		})
	}
	digest, err := index.Digest()
	if err != nil {
		return Pushed{}, err
	}
	return Pushed{reference, digest.String()}, remote.WriteIndex(tag, index, options...)
}
