package meshid

import "strings"

// Protocol is the application protocol of a service port.
type Protocol string

// The protocols the mesh routes. Anything else is Unsupported and gets no filter chain.
const (
	HTTP           Protocol = "http"
	GRPC           Protocol = "grpc"
	TCP            Protocol = "tcp"
	TCPServerFirst Protocol = "tcp-server-first"
	// Unsupported marks a port whose appProtocol names something the mesh does not speak.
	Unsupported Protocol = ""
)

// IsHTTP reports whether requests of the protocol are routed one by one (HTTP/1.1, HTTP/2, gRPC).
func (p Protocol) IsHTTP() bool { return p == HTTP || p == GRPC }

// DetectProtocol decides what a TCP service port speaks: appProtocol wins (compared without case), then a port name
// prefix such as "tcp-server-first-" or "grpc-" (or the bare word), else HTTP. An appProtocol that is not in the list is Unsupported.
func DetectProtocol(appProtocol *string, portName string) Protocol {
	if appProtocol != nil && *appProtocol != "" {
		return known(strings.ToLower(*appProtocol))
	}
	for _, p := range []Protocol{TCPServerFirst, HTTP, TCP, GRPC} {
		if portName == string(p) || strings.HasPrefix(portName, string(p)+"-") {
			return p
		}
	}
	return HTTP
}

// Declared reports whether a Service port says what it speaks. One that does not counts as HTTP, and its connections may
// be looked at to find out.
func Declared(appProtocol *string, portName string) bool {
	if appProtocol != nil && *appProtocol != "" {
		return true
	}
	for _, p := range []Protocol{TCPServerFirst, HTTP, TCP, GRPC} {
		if portName == string(p) || strings.HasPrefix(portName, string(p)+"-") {
			return true
		}
	}
	return false
}

func known(s string) Protocol {
	switch p := Protocol(s); p {
	case HTTP, GRPC, TCP, TCPServerFirst:
		return p
	}
	return Unsupported
}
