package pipeline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveVerbatim runs an application that answers with what it was asked, by HTTP/1.1 or HTTP/2, and judges nothing of it:
// what a server library would refuse or tidy up is what the test wants to see.
func serveVerbatim(t *testing.T, addr string) {
	t.Helper()
	serveTCP(t, addr, func(c net.Conn) {
		r := bufio.NewReader(c)
		if start, err := r.Peek(len(http2.ClientPreface)); err == nil && string(start) == http2.ClientPreface {
			_, _ = r.Discard(len(start))
			verbatimHTTP2(r, c)
			return
		}
		verbatimHTTP1(r, c)
	})
}

func verbatimHTTP1(r *bufio.Reader, w io.Writer) {
	lines := textproto.NewReader(r)
	for {
		line, err := lines.ReadLine()
		if err != nil {
			return
		}
		parts := strings.SplitN(line, " ", 3)
		header, err := lines.ReadMIMEHeader()
		if err != nil || len(parts) != 3 {
			return
		}
		s := seen{Proto: parts[2], Method: parts[0], Path: parts[1], Host: header.Get("Host"), Header: http.Header(header)}
		s.Header.Del("Host")
		body, _ := json.Marshal(s)
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func verbatimHTTP2(r io.Reader, w io.Writer) {
	f := http2.NewFramer(w, r)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			_ = f.WritePing(true, frame.Data)
		case *http2.MetaHeadersFrame:
			s := seen{Proto: "HTTP/2.0", Method: frame.PseudoValue("method"), Path: frame.PseudoValue("path"), Host: frame.PseudoValue("authority"), Header: http.Header{}}
			for _, h := range frame.RegularFields() {
				s.Header.Add(h.Name, h.Value)
			}
			body, _ := json.Marshal(s)
			var block bytes.Buffer
			_ = hpack.NewEncoder(&block).WriteField(field{Name: ":status", Value: "200"})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: block.Bytes(), EndHeaders: true})
			_ = f.WriteData(frame.StreamID, true, body)
		}
	}
}

// verbatimPair is realPair with an application that judges nothing.
func verbatimPair(t *testing.T) *realMesh {
	t.Helper()
	m := newRealMesh(t, false)
	serveVerbatim(t, m.addr("127.0.0.1", "PORT_WEB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	return m
}
