package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/xds"
)

// token is what the sidecar shows the delta server.
const token = "bench"

// usage is what one sidecar takes, in bytes.
type usage struct {
	// anonymous is memory that no file stands behind: what the bar of the sidecar counts.
	anonymous int64
	// allocated is what Envoy has in use of it.
	allocated int64
	clusters  int
}

// sidecar starts the client's sidecar of a mesh and measures it once it has everything.
func sidecar(ctx context.Context, binary string, mesh *snapshot.Snapshot) (u usage, err error) {
	srv, err := xdsserver.Start(xds.Options{})
	if err != nil {
		return u, err
	}
	defer srv.Stop()
	srv.Tokens.Allow(token, xds.Peer{Pod: client, Identity: account("client")})
	view, err := pipeline.New(srv.RootPEM).Apply(mesh, snapshot.Changed{Config: true})
	if err != nil {
		return u, err
	}
	srv.Hub.SetView(view)
	dir, err := os.MkdirTemp("", "sidecar")
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd, err := start(ctx, binary, dir, srv)
	if err != nil {
		return u, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if err := configured(ctx, srv, view.Generation()); err != nil {
		return u, fmt.Errorf("%w\n%s", err, cmd.Stderr)
	}
	return measure(cmd.Process.Pid)
}

// start runs Envoy with the bootstrap and the arguments of an injected sidecar.
func start(ctx context.Context, binary, dir string, srv *xdsserver.Server) (*exec.Cmd, error) {
	at := netip.MustParseAddrPort(srv.Address)
	b, err := bootstrap.Build(bootstrap.Config{
		NodeID: "bench", NodeCluster: account("client").String(), RootPEM: string(srv.RootPEM),
		ControllerHost: at.Addr().String(), ControllerPort: at.Port(), ControllerSAN: xdsserver.Name,
	})
	if err != nil {
		return nil, err
	}
	text, err := bootstrap.Text(b)
	if err != nil {
		return nil, err
	}
	text = strings.ReplaceAll(text, names.BootstrapDir, dir)
	file := filepath.Join(dir, names.BootstrapFile)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, names.TokenFile), []byte(token), 0o600)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "--config-path", file, "--log-level", "error", "--service-cluster", account("client").String(),
		"--concurrency", "2", "--disable-hot-restart", "--drain-time-s", "5", "--drain-strategy", "immediate")
	cmd.Stderr = &bytes.Buffer{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

// configured waits until the sidecar has acknowledged everything, warmed every cluster and opened its listener.
func configured(ctx context.Context, srv *xdsserver.Server, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for srv.Hub.Len() == 0 {
		select {
		case <-ctx.Done():
			return errors.New("the sidecar does not connect")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := srv.Hub.WaitAcked(ctx, generation); err != nil {
		return fmt.Errorf("the sidecar does not acknowledge its configuration: %w", err)
	}
	if refused := srv.Hub.Rejections(); len(refused) > 0 {
		return fmt.Errorf("the sidecar refuses %s: %s", refused[0].Name, refused[0].Message)
	}
	for {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(names.PortOutbound)), time.Second)
		if err == nil {
			_ = c.Close()
			// What warming took is given back within a moment.
			time.Sleep(2 * time.Second)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the sidecar does not listen: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func measure(pid int) (usage, error) {
	var u usage
	var err error
	if u.anonymous, err = anonymous(pid); err != nil {
		return u, err
	}
	var memory struct {
		Allocated int64 `json:"allocated,string"`
	}
	var clusters struct {
		Stats []struct{ Value int }
	}
	if err := errors.Join(admin("/memory", &memory), admin("/stats?format=json&filter=^cluster_manager.active_clusters$", &clusters)); err != nil {
		return u, err
	}
	u.allocated = memory.Allocated
	for _, s := range clusters.Stats {
		u.clusters = s.Value
	}
	return u, nil
}

// anonymous reads the kernel's sum over all of a process's memory, in bytes.
func anonymous(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(scan.Text(), "Anonymous: %d kB", &kb); n == 1 {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/%d/smaps_rollup has no line \"Anonymous\"", pid)
}

// admin asks Envoy's admin interface.
func admin(path string, into any) (err error) {
	resp, err := http.Get("http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(names.PortEnvoyAdmin)) + path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
