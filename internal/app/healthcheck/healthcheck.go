package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
)

// Environment variables the injector sets.
const (
	EnvPorts = "OSM_HEALTHCHECK_PORTS"
	EnvPodIP = "POD_IP"
	// EnvEnd is set, to any value, when the helper shall end with the sidecar, since the pod's containers are not restarted.
	EnvEnd = "OSM_END_WITH_SIDECAR"
)

// maxDial bounds a dial whose caller does not hang up; the kubelet does after its probe's timeout.
const maxDial = 30 * time.Second

// Config says what may be dialled.
type Config struct {
	// Ports the probes of this pod ask for.
	Ports []uint16
	// PodIP is tried when the loopback refuses; may be invalid.
	PodIP netip.Addr
	// EndWithSidecar ends Run when the sidecar has ended.
	EndWithSidecar bool
	Log            *slog.Logger
}

// FromEnv reads a Config from the environment.
func FromEnv(env func(string) string, log *slog.Logger) (Config, error) {
	c := Config{Log: log, EndWithSidecar: env(EnvEnd) != ""}
	for s := range strings.SplitSeq(env(EnvPorts), ",") {
		port, err := parsePort(strings.TrimSpace(s))
		if err != nil {
			return c, fmt.Errorf("%s: %w; it is set by the injector to a comma separated list of ports", EnvPorts, err)
		}
		c.Ports = append(c.Ports, port)
	}
	if ip := env(EnvPodIP); ip != "" {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return c, fmt.Errorf("%s: %q is not an IP address", EnvPodIP, ip)
		}
		c.PodIP = a
	}
	return c, nil
}

// Run serves on names.PortHealthcheck until ctx ends.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var seen atomic.Bool
	if c.EndWithSidecar {
		go func() {
			sidecarEnds(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(names.PortSidecarReady)), endPoll, func() { seen.Store(true) })
			cancel()
		}()
	}
	s := &http.Server{
		Addr: ":" + strconv.Itoa(names.PortHealthcheck), Handler: Handler(c, seen.Load), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: maxDial + 5*time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	c.Log.Info("answering TCP probes", "ports", c.Ports)
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen on port %d: %w", names.PortHealthcheck, err)
	}
	return nil
}

// Handler answers probes. It says ready, on names.PathSidecarReady, once the sidecar was seen: only then may it be told to end,
// since what it never saw it cannot miss.
func Handler(c Config, seen func() bool) http.Handler {
	allowed := map[uint16]bool{}
	for _, p := range c.Ports {
		allowed[p] = true
	}
	mux := http.NewServeMux()
	mux.HandleFunc(names.PathSidecarReady, func(w http.ResponseWriter, _ *http.Request) {
		if !seen() {
			http.Error(w, "the sidecar has not been seen yet", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc(names.PathHealthcheck, func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values(probe.HeaderOriginalPort)
		if len(values) != 1 {
			http.Error(w, "want the header "+probe.HeaderOriginalPort+" once", http.StatusBadRequest)
			return
		}
		port, err := parsePort(values[0])
		if err != nil {
			http.Error(w, probe.HeaderOriginalPort+": not a port", http.StatusBadRequest)
			return
		}
		if !allowed[port] {
			http.Error(w, "no probe of this pod asks for this port", http.StatusNotFound)
			return
		}
		if err := dial(r.Context(), c.PodIP, port); err != nil {
			c.Log.Debug("probe failed", "port", port, "error", err)
			http.Error(w, "nothing accepts connections on this port", http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	return mux
}

// dial tries the loopback and then the pod's address, where the kubelet's own probe would have gone.
func dial(ctx context.Context, podIP netip.Addr, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, maxDial)
	defer cancel()
	hosts := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if podIP.IsValid() {
		hosts = append(hosts, podIP)
	}
	var errs []error
	for _, h := range hosts {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(h, port).String())
		if err == nil {
			return conn.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return uint16(n), nil
}
