package pipeline

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// field is one header field of an HTTP/2 request, in its order.
type field = hpack.HeaderField

// h2Request makes the fields of a request; more come after the pseudo-headers.
func h2Request(method, path, authority string, more ...field) []field {
	out := []field{{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}}
	if authority != "" {
		out = append(out, field{Name: ":authority", Value: authority})
	}
	return append(out, more...)
}

// rawHTTP2 sends one HTTP/2 request with the fields as they are, however odd, and returns the status and, if the
// application answered, what it saw. A stream or connection that is refused is status 0.
func rawHTTP2(t *testing.T, addr string, fields []field) (int, *seen) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, f.WriteSettings())
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range fields {
		require.NoError(t, enc.WriteField(h))
	}
	writeHeaders(t, f, block.Bytes())
	return readAnswer(t, f)
}

func writeHeaders(t *testing.T, f *http2.Framer, block []byte) {
	t.Helper()
	const most = 16 << 10
	first := block[:min(most, len(block))]
	block = block[len(first):]
	require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0}))
	for len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		if err := f.WriteContinuation(1, len(block) == 0, part); err != nil {
			return // the other side has seen enough
		}
	}
}

func readAnswer(t *testing.T, f *http2.Framer) (int, *seen) {
	t.Helper()
	code, body := 0, bytes.Buffer{}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0, nil
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if code, err = strconv.Atoi(frame.PseudoValue("status")); err != nil {
				return 0, nil
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body.Write(frame.Data())
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return 0, nil
		}
		if ended && code != 200 {
			return code, nil
		}
		if ended {
			return code, decode(t, &body)
		}
	}
}

// announcedStreams is how many requests at once a connection may carry, as the other side says.
func announcedStreams(t *testing.T, addr string) uint32 {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	f := http2.NewFramer(conn, conn)
	require.NoError(t, f.WriteSettings())
	for {
		frame, err := f.ReadFrame()
		require.NoError(t, err)
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			n, _ := s.Value(http2.SettingMaxConcurrentStreams)
			return n
		}
	}
}
