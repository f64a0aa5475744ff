package cgroup

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestParseRoots(t *testing.T) {
	for name, c := range map[string]struct {
		table string
		want  []string
	}{
		"v2": {
			table: "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
			want:  []string{"/sys/fs/cgroup"},
		},
		"v1 and v2 side by side": {
			table: "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			want: []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"},
		},
		"a container's part of a hierarchy does not count": {
			table: "32 31 0:29 /docker/1 /mnt/cpu rw - cgroup cgroup rw,cpu\n",
		},
		"twice the same": {
			table: "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			want:  []string{"/sys/fs/cgroup"},
		},
		"nonsense": {table: "a b c\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseRoots(c.table); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRemoveTreeTakesFoldersOnly(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "g", "kubepods", "pod1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(filepath.Join(root, "g")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "g")); !os.IsNotExist(err) {
		t.Error("the group is still there")
	}
	if err := removeTree(filepath.Join(root, "g")); err != nil {
		t.Errorf("a group that is not there: %v", err)
	}
	// A real group with a process inside refuses like a folder with a file.
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(root); err == nil {
		t.Error("a group that the kernel refuses to remove went without an error")
	}
}

func TestInheritCPUSet(t *testing.T) {
	root := t.TempDir()
	child := filepath.Join(root, "c")
	if err := os.Mkdir(child, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(root, "cpuset.cpus"), "0-1\n")
	write(filepath.Join(root, "cpuset.mems"), "0\n")
	write(filepath.Join(child, "cpuset.cpus"), "\n")
	write(filepath.Join(child, "cpuset.mems"), "1\n")
	inheritCPUSet(child)
	for file, want := range map[string]string{"cpuset.cpus": "0-1\n", "cpuset.mems": "1\n"} {
		if b, _ := os.ReadFile(filepath.Join(child, file)); string(b) != want {
			t.Errorf("%s is %q, want %q", file, b, want)
		}
	}
}

func TestMissingControllers(t *testing.T) {
	for name, c := range map[string]struct {
		root, dir string
		want      []string
	}{
		"cgroup v1 has no such file": {},
		"as systemd leaves it":       {"cpuset cpu io memory hugetlb pids rdma misc\n", "cpu io memory pids\n", []string{"cpuset", "hugetlb"}},
		"all there":                  {"cpuset cpu io memory pids\n", "cpuset cpu io memory pids\n", nil},
		"the kernel lacks some":      {"cpu memory\n", "\n", []string{"cpu", "memory"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "g")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for d, text := range map[string]string{root: c.root, dir: c.dir} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(d, "cgroup.controllers"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := missing(root, dir); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
