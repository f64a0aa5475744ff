package fleet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"openservicemesh.io/osm/bench/internal/proc"
)

// Remote is a fleet in a child process.
type Remote struct {
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

// lazyCollector has the child collect seldom: it shares the cores with what is measured, and nobody measures its memory.
const lazyCollector = "GOGC=400"

// Start runs a command whose main calls Main, usually this very program with a flag.
func Start(spec Spec, name string, args ...string) (*Remote, error) {
	r := &Remote{cmd: exec.Command(name, args...)} //nolint:gosec // the caller's own program
	r.cmd.Stderr = os.Stderr
	r.cmd.Env = append(os.Environ(), lazyCollector)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.in, r.out = in, bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	return r, json.NewEncoder(r.in).Encode(spec)
}

// Do sends one command and returns its answer.
func (r *Remote) Do(words ...any) (Answer, error) {
	command := strings.TrimSpace(fmt.Sprintln(words...))
	if _, err := fmt.Fprintln(r.in, command); err != nil {
		return Answer{}, err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", command, err)
	}
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// CPU is what the process has used so far.
func (r *Remote) CPU() time.Duration { return proc.CPU(r.cmd.Process.Pid) }

// End ends the process.
func (r *Remote) End() error {
	_ = r.in.Close()
	return r.cmd.Wait()
}
