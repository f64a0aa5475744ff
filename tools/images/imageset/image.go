package imageset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// layout is part of every key: raise it when images are put together in
// another way from the same files.
const layout = 1

// content is all that decides an image's bytes.
type content struct {
	spec    Spec
	arch    string
	version string
	// layers are bottom first.
	layers [][]entry
}

// base is what every image starts from; the layer is shared by all.
func base() []entry {
	return []entry{
		{path: "/etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nenvoy:x:1500:1500:envoy:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
		{path: "/etc/group", mode: 0o644, data: []byte("root:x:0:\nenvoy:x:1500:\nnonroot:x:65532:\n")},
		{path: "/etc/nsswitch.conf", mode: 0o644, data: []byte("hosts: files dns\n")},
		{path: "/tmp", mode: 0o1777, dir: true},
	}
}

func programContent(s Spec, arch, version, binary string) content {
	return content{spec: s, arch: arch, version: version, layers: [][]entry{
		base(), {{path: s.Path, mode: 0o755, source: binary}},
	}}
}

func (c content) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       c.spec.Name,
		"org.opencontainers.image.description": c.spec.Description,
		"org.opencontainers.image.version":     c.version,
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// key is the same exactly when the image is.
func (c content) key() (string, error) {
	type file struct {
		Path, Hash string
		Mode       int64
	}
	in := struct {
		Layout  int
		Spec    Spec
		Arch    string
		Version string
		Files   [][]file
	}{layout, c.spec, c.arch, c.version, nil}
	for _, entries := range c.layers {
		var files []file
		for _, e := range withParents(entries) {
			f := file{Path: e.path, Mode: e.mode}
			if !e.dir {
				hash, err := e.hash()
				if err != nil {
					return "", err
				}
				f.Hash = hash
			}
			files = append(files, f)
		}
		in.Files = append(in.Files, files)
	}
	data, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// image puts the layers and the configuration together.
func (c content) image() (v1.Image, error) {
	img := empty.Image
	for _, entries := range c.layers {
		layer, err := newLayer(entries)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", c.spec.Name, err)
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "tools/images"}})
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", c.spec.Name, err)
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", c.spec.Name, err)
	}
	file = file.DeepCopy()
	file.Created = v1.Time{Time: epoch}
	file.OS, file.Architecture = "linux", c.arch
	file.Config = v1.Config{
		Entrypoint: []string{c.spec.Path},
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		User:       c.spec.User,
		WorkingDir: "/",
		Labels:     c.labels(),
	}
	return mutate.ConfigFile(img, file)
}
