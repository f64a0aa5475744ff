package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// finishTimeout bounds what is brought to its end although the user interrupted the command.
const finishTimeout = 30 * time.Second

// errInterrupted is what reading ends with when the user interrupts the command.
var errInterrupted = errors.New("interrupted")

// interruptible reads from in until the context ends: a question that waits for its answer ends with Ctrl-C, although a
// read of a terminal does not.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	type result struct {
		text []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		text := make([]byte, len(p)) // the caller's may be gone when the read returns
		n, err := r.in.Read(text)
		got <- result{text[:n], err}
	}()
	select {
	case g := <-got:
		return copy(p, g.text), g.err
	case <-r.ctx.Done():
		return 0, errInterrupted
	}
}

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
