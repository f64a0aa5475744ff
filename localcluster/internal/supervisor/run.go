package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cgroup"
	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/kubeapi"
)

// Inherited files, in the order of exec.Cmd.ExtraFiles.
const (
	listenerFD = 3
	goFD       = 4
)

// CloneFlags are the namespaces of a cluster.
const CloneFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS

// SettingsPath is where `up` leaves the settings for the supervisor.
func SettingsPath(l cluster.Layout) string { return l.Path("etc", "settings.json") }

// ReadSettings reads the settings of the running cluster. The supervisor fills
// in what only shows inside, such as the snapshotter, before it starts anything.
func ReadSettings(l cluster.Layout) (component.Settings, error) {
	var s component.Settings
	b, err := os.ReadFile(SettingsPath(l))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read the cluster's settings: %w", err)
	}
	return s, nil
}

// Run is the life of the supervisor; it ends with an error only, or on SIGTERM
// with nil. What it logs goes to standard error.
func Run(l cluster.Layout) error {
	if os.Getpid() != 1 {
		return errors.New("the supervisor is started by `localcluster up` only: it must be process 1 of its own namespace")
	}
	if err := awaitGo(); err != nil {
		return err
	}
	s, err := ReadSettings(l)
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return fmt.Errorf("take over the machine's API port: %w", err)
	}
	if err := prepare(l, &s); err != nil {
		return err
	}
	if err := cluster.WriteJSON(SettingsPath(l), s); err != nil {
		return err
	}
	for _, f := range component.Files(s) {
		if err := cluster.WriteFile(f.Path, []byte(f.Content), f.Mode); err != nil {
			return err
		}
	}
	api, err := kubeapi.New(component.APIURL(s.APIPort), l.Path("pki"), component.AdminPair)
	if err != nil {
		return err
	}
	go forward(listener, fmt.Sprintf("127.0.0.1:%d", s.APIPort))
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	return newManager(l, component.All(s), api).loop(stop)
}

// awaitGo waits until `up` has recorded this process. If `up` died before that,
// nobody would know of us, so we end without having made anything.
func awaitGo() error {
	f := os.NewFile(goFD, "go")
	defer f.Close()
	if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
		return fmt.Errorf("`localcluster up` ended before it recorded the supervisor: %w", err)
	}
	return nil
}

// prepare makes the groups, the file system and the network of the cluster and
// fills in what only shows inside of them.
func prepare(l cluster.Layout, s *component.Settings) error {
	if err := cgroup.Create(l.CgroupName()); err != nil {
		return err
	}
	if err := privateRoot(l); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(l.Node())); err != nil {
		return fmt.Errorf("set the node's host name: %w", err)
	}
	if err := network(s.IPv6); err != nil {
		return err
	}
	if out, err := exec.Command("nft", "--check", "add table inet localcluster-probe").CombinedOutput(); err != nil {
		return fmt.Errorf("the kernel has no nftables, which Services need: %s (%w); load it with `modprobe nf_tables` "+
			"or use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET", strings.TrimSpace(string(out)), err)
	}
	s.Snapshotter = "overlayfs"
	if err := tryOverlay(l.Path("containerd")); err != nil {
		slog.Warn("overlay mounts do not work here; images are unpacked by copying, which is slower", "error", err)
		s.Snapshotter = "native"
	}
	if err := os.Remove(l.ContainerdSocket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of the last start: %w", err)
	}
	return nil
}

// tryOverlay makes one overlay mount below dir and takes it away.
func tryOverlay(dir string) error {
	tmp, err := os.MkdirTemp(dir, "overlay-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o700); err != nil {
			return err
		}
	}
	data := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", tmp)
	merged := filepath.Join(tmp, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, data); err != nil {
		return err
	}
	return unix.Unmount(merged, 0)
}
