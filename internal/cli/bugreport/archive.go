package bugreport

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// archive packs a folder. The file is there whole or not at all, and only its owner may read it.
func archive(dir, file string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // err is the one to tell
		}
	}()
	err = pack(dir, f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func pack(dir string, to io.Writer) error {
	zip := gzip.NewWriter(to)
	out := tar.NewWriter(zip)
	if err := addFolder(out, dir); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zip.Close()
}

// addFolder adds a folder's files, in order of their names. AddFS would open files through an fs.FS as well.
func addFolder(out *tar.Writer, dir string) error {
	root := os.DirFS(dir)
	return fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: "bug-report/" + path, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Typeflag: tar.TypeReg}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, f)
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	})
}
