package cli

import (
	"os"
	"path/filepath"
	"time"
)

// finishTimeout bounds what is brought to its end although the user interrupted the command.
const finishTimeout = 30 * time.Second

// writeWhole writes a file so that it is there whole or not at all. Only its owner may read it: what a pod may call is
// nobody else's business on a shared machine.
func writeWhole(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = write(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}
