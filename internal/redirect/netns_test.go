package redirect

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The pod's and the outside's addresses on the wire between them, and an address behind the outside.
const (
	pod4, pod6         = "10.99.0.2", "fd99::2"
	outside4, outside6 = "10.99.0.1", "fd99::1"
	far4, far6         = "203.0.113.7", "2001:db8::7"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces: run with sudo")
	}
}

// in runs fn on a thread of its own inside a namespace, as uid. The thread ends with it.
func in(t *testing.T, ns netns.NsHandle, uid int, fn func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: a thread that changed its user must not be reused
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		if uid != 0 {
			if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				done <- e
				return
			}
		}
		done <- fn()
	}()
	return <-done
}

func newNS(t *testing.T) netns.NsHandle {
	t.Helper()
	got := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			t.Error(err)
		}
		got <- ns
	}()
	ns := <-got
	t.Cleanup(func() { _ = ns.Close() })
	h, err := netlink.NewHandleAt(ns)
	require.NoError(t, err)
	defer h.Close()
	lo, err := h.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, h.LinkSetUp(lo))
	return ns
}

// wire makes two namespaces joined by a veth pair.
func wire(t *testing.T) (pod, outside netns.NsHandle) {
	t.Helper()
	needRoot(t)
	pod, outside = newNS(t), newNS(t)
	hp, err := netlink.NewHandleAt(pod)
	require.NoError(t, err)
	defer hp.Close()
	ho, err := netlink.NewHandleAt(outside)
	require.NoError(t, err)
	defer ho.Close()
	require.NoError(t, hp.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer0", PeerNamespace: netlink.NsFd(outside)}))
	up(t, hp, "eth0", pod4+"/24", pod6+"/64")
	up(t, ho, "peer0", outside4+"/24", outside6+"/64")
	up(t, ho, "lo", far4+"/32", far6+"/128")
	for _, gw := range []string{outside4, outside6} {
		eth, err := hp.LinkByName("eth0")
		require.NoError(t, err)
		require.NoError(t, hp.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.ParseIP(gw)}))
	}
	return pod, outside
}

func up(t *testing.T, h *netlink.Handle, link string, addrs ...string) {
	t.Helper()
	l, err := h.LinkByName(link)
	require.NoError(t, err)
	require.NoError(t, h.LinkSetUp(l))
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		require.NoError(t, err)
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		require.NoError(t, h.AddrAdd(l, addr))
	}
}

// serve answers every connection on a port with a label and the destination the caller had meant.
func serve(t *testing.T, ns netns.NsHandle, label string, port int, hosts ...string) {
	t.Helper()
	serveAs(t, ns, 0, label, port, hosts...)
}

func serveAs(t *testing.T, ns netns.NsHandle, uid int, label string, port int, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		network := "tcp4"
		if strings.Contains(host, ":") {
			network = "tcp6"
		}
		var ln net.Listener
		require.NoError(t, in(t, ns, uid, func() (err error) {
			ln, err = net.Listen(network, net.JoinHostPort(host, fmt.Sprint(port)))
			return err
		}))
		t.Cleanup(func() { _ = ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				said := label
				// Without a redirection the kernel names the address the connection arrived at, or none.
				if dst := originalDst(c.(*net.TCPConn)); dst.IsValid() && dst.String() != c.LocalAddr().String() {
					said += " " + dst.String()
				}
				fmt.Fprint(c, said)
				_ = c.Close()
			}
		}()
	}
}

func originalDst(c *net.TCPConn) (dst netip.AddrPort) {
	raw, err := c.SyscallConn()
	if err != nil {
		return dst
	}
	v6 := c.LocalAddr().(*net.TCPAddr).IP.To4() == nil
	_ = raw.Control(func(fd uintptr) {
		if v6 {
			// struct sockaddr_in6 fits what this option returns for IPv6.
			if m, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.IPPROTO_IPV6, unix.SO_ORIGINAL_DST); err == nil {
				dst = netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr), hostOrder(m.Addr.Port))
			}
			return
		}
		if m, err := unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, unix.SO_ORIGINAL_DST); err == nil {
			b := m.Multiaddr
			dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
		}
	})
	return dst
}

func hostOrder(p uint16) uint16 {
	b := make([]byte, 2)
	binary.NativeEndian.PutUint16(b, p)
	return binary.BigEndian.Uint16(b)
}

// call dials from a namespace as a user and returns what the listener said, or "refused".
func call(t *testing.T, ns netns.NsHandle, uid int, addr string) string {
	t.Helper()
	var said string
	err := in(t, ns, uid, func() error {
		c, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		b, err := io.ReadAll(c)
		said = string(b)
		return err
	})
	if err != nil {
		if strings.Contains(err.Error(), "refused") {
			return "refused"
		}
		return err.Error()
	}
	return said
}
