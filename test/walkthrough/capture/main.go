// Command capture looks at every TCP segment to and from one pod's port for a few seconds and fails unless each
// payload is TLS. It reads a packet socket (packet(7)) on all interfaces of the network namespace it runs in.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ip := flag.String("ip", "", "the pod's IPv4 address")
	port := flag.Uint("port", 14001, "the pod's port")
	seconds := flag.Int("seconds", 4, "how long to look")
	flag.Parse()
	if err := run(*ip, uint16(*port), time.Duration(*seconds)*time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(ip string, port uint16, limit time.Duration) error {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, unix.ETH_P_ALL<<8) // in network byte order
	if err != nil {
		return fmt.Errorf("packet socket: %w (needs root)", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200000}); err != nil {
		return err
	}
	s := stream{addr: addr, port: port, handshakes: map[string]bool{}}
	buf := make([]byte, 65536)
	for end := time.Now().Add(limit); time.Now().Before(end); {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		s.packet(buf[:n])
	}
	return s.verdict()
}

// stream counts what was seen.
type stream struct {
	addr       netip.Addr
	port       uint16
	segments   int
	bytes      int
	records    int
	handshakes map[string]bool
	plain      []string
}

// packet looks at one IPv4 packet.
func (s *stream) packet(p []byte) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != unix.IPPROTO_TCP {
		return
	}
	ihl := int(p[0]&15) * 4
	total := min(int(binary.BigEndian.Uint16(p[2:])), len(p))
	if total < ihl+20 {
		return
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	tcp := p[ihl:total]
	sport, dport := binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])
	if (src != s.addr || sport != s.port) && (dst != s.addr || dport != s.port) {
		return
	}
	payload := tcp[min(int(tcp[12]>>4)*4, len(tcp)):]
	if len(payload) == 0 {
		return
	}
	s.segments++
	s.bytes += len(payload)
	// A TLS record starts with its type (20 to 24) and the legacy version 3.x (RFC 8446, 5.1). A segment may also go on
	// with a record that an earlier one began, so only text that nobody encrypted counts as plain.
	if payload[0] >= 20 && payload[0] <= 24 && len(payload) > 2 && payload[1] == 3 {
		s.records++
		return
	}
	for _, word := range []string{"HTTP/1.", "GET /", "books-bought", "PRI * HTTP/2", "Identity:", "bookstore"} {
		if bytes.Contains(payload, []byte(word)) {
			s.plain = append(s.plain, fmt.Sprintf("%s:%d→%s:%d %q", src, sport, dst, dport, payload[:min(60, len(payload))]))
			return
		}
	}
}

func (s *stream) verdict() error {
	if len(s.plain) > 0 {
		return fmt.Errorf("%d of %d segments hold plaintext, the first: %s", len(s.plain), s.segments, s.plain[0])
	}
	if s.records == 0 {
		return fmt.Errorf("no TLS record to or from %s:%d was seen, so nothing is proven", s.addr, s.port)
	}
	fmt.Printf("capture on the pod's interface: %d segments, %d bytes, %d start a TLS record, none holds plaintext\n", s.segments, s.bytes, s.records)
	return nil
}
