package imageset

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// entry is one file or folder of a layer. Everything belongs to root: a
// program must not be able to change itself.
type entry struct {
	// path is absolute.
	path string
	mode int64
	dir  bool
	// data is the content, unless source names a file on disk.
	data   []byte
	source string
}

func (e entry) open() (io.ReadCloser, int64, error) {
	if e.source == "" {
		return io.NopCloser(bytes.NewReader(e.data)), int64(len(e.data)), nil
	}
	f, err := os.Open(e.source)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// hash is the SHA-256 of the content, in hexadecimal.
func (e entry) hash() (string, error) {
	r, _, err := e.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// withParents adds the folders above the entries and sorts the lot.
func withParents(entries []entry) []entry {
	seen := map[string]bool{"/": true}
	for _, e := range entries {
		seen[e.path] = true
	}
	all := slices.Clone(entries)
	for _, e := range entries {
		for dir := path.Dir(e.path); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			all = append(all, entry{path: dir, mode: 0o755, dir: true})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.path, b.path) })
	return all
}

func writeTar(w io.Writer, entries []entry) error {
	tw := tar.NewWriter(w)
	for _, e := range withParents(entries) {
		header := &tar.Header{Name: e.path[1:], Mode: e.mode, ModTime: epoch, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if e.dir {
			header.Name, header.Typeflag = header.Name+"/", tar.TypeDir
			if err := tw.WriteHeader(header); err != nil {
				return err
			}
			continue
		}
		if err := writeFile(tw, header, e); err != nil {
			return fmt.Errorf("adding %s: %w", e.path, err)
		}
	}
	return tw.Close()
}

func writeFile(tw *tar.Writer, header *tar.Header, e entry) error {
	r, size, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	header.Size = size
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return err
}

// newLayer packs the entries. It is compressed at the fastest level: images
// are mostly loaded on the machine that built them.
func newLayer(entries []entry) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(writeTar(w, entries)) }()
		return r, nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
}
