package build

import (
	"bytes"
	"strings"
	"sync"
)

// packageCounter takes the output of `go build -v`, one line per package, and
// keeps the end of it for an error message. Safe for concurrent use.
type packageCounter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write takes output.
func (c *packageCounter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

// progress returns the number of packages so far and the last one.
func (c *packageCounter) progress() (int, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := lastLine(c.buf.Bytes())
	if last == "" {
		last = "(linking)"
	}
	return bytes.Count(c.buf.Bytes(), []byte("\n")), last
}

// tail returns the last lines.
func (c *packageCounter) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimRight(c.buf.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func lastLine(b []byte) string {
	b = bytes.TrimRight(b, "\n")
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}
