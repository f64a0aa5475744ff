package process

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for name, c := range map[string]struct {
		line      string
		ticks     uint64
		state     string
		wantError bool
	}{
		"plain":                 {line: "12 (etcd) S" + rest, ticks: 4711, state: "S"},
		"spaces and brackets":   {line: "12 (a) b (c) Z" + rest, ticks: 4711, state: "Z"},
		"no name":               {line: "12 etcd S" + rest, wantError: true},
		"too short":             {line: "12 (etcd) S 1 2 3", wantError: true},
		"start is not a number": {line: "12 (etcd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20", wantError: true},
	} {
		t.Run(name, func(t *testing.T) {
			ticks, state, err := parseStat(c.line)
			if (err != nil) != c.wantError || ticks != c.ticks || state != c.state {
				t.Errorf("got %d, %q, %v", ticks, state, err)
			}
		})
	}
}

func startSleep(t *testing.T, arg string) (*exec.Cmd, ID) {
	t.Helper()
	cmd := exec.Command("sleep", arg)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestAliveNamesOneProcessOnly(t *testing.T) {
	_, id := startSleep(t, "60.5")
	if !id.Alive() {
		t.Fatal("a running process is not alive")
	}
	other := id
	other.StartTicks++
	if other.Alive() {
		t.Error("alive with another start time")
	}
	other = id
	other.BootID = "of another boot"
	if other.Alive() {
		t.Error("alive with another boot")
	}
	if (ID{}).Alive() {
		t.Error("the zero identity is alive")
	}
}

func TestKillSparesAReusedID(t *testing.T) {
	_, id := startSleep(t, "61.5")
	reused := id
	reused.StartTicks++
	if err := reused.Kill(time.Second); err != nil {
		t.Fatal(err)
	}
	if !id.Alive() {
		t.Fatal("killed a process with another start time")
	}
}

func TestKillWaitsForTheEnd(t *testing.T) {
	// The child is not collected: a zombie has ended.
	_, id := startSleep(t, "62.5")
	if err := id.Kill(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("alive after Kill")
	}
	if err := id.Kill(time.Second); err != nil {
		t.Errorf("second Kill: %v", err)
	}
}

func TestOfEndedProcess(t *testing.T) {
	cmd, id := startSleep(t, "63.5")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := Of(id.PID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWithArgsIsExact(t *testing.T) {
	cmd, _ := startSleep(t, "64.25")
	if got := WithArgs("64.25"); !slices.Contains(got, cmd.Process.Pid) {
		t.Errorf("process %d not in %v", cmd.Process.Pid, got)
	}
	for _, args := range [][]string{{"64.2"}, {"64.25", ""}, {"sleep", "64.25"}, {}} {
		if got := WithArgs(args...); slices.Contains(got, cmd.Process.Pid) {
			t.Errorf("%q finds %v", args, got)
		}
	}
}

func TestInNamespace(t *testing.T) {
	cmd, _ := startSleep(t, "65.5")
	n, err := Namespace(os.Getpid(), "net")
	if err != nil {
		t.Fatal(err)
	}
	if got := InNamespace("net", n); !slices.Contains(got, cmd.Process.Pid) || !slices.Contains(got, os.Getpid()) {
		t.Errorf("%v lacks this process or its child", got)
	}
	if got := InNamespace("net", n+1<<40); len(got) != 0 {
		t.Errorf("a namespace that is not there holds %v", got)
	}
}
