package sim

import (
	"slices"
	"strconv"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// normalizer rewrites a request's path as the connection manager is told to, in Envoy's order: escaped slashes, dot
// segments, repeated slashes. It returns false when the request is refused with 400.
type normalizer struct{ unescape, dots, merge, hostDot bool }

func readNormalizer(m *hcmv3.HttpConnectionManager) normalizer {
	return normalizer{
		unescape: m.PathWithEscapedSlashesAction == hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD,
		dots:     m.NormalizePath.GetValue(),
		merge:    m.MergeSlashes,
		hostDot:  m.StripTrailingHostDot,
	}
}

// request returns the request as routes and rules see it.
func (n normalizer) request(r Request) (Request, bool) {
	var ok bool
	r.Path, ok = n.path(r.Path)
	if n.hostDot {
		name, port, hasPort := strings.Cut(r.Host, ":")
		r.Host = strings.TrimSuffix(name, ".")
		if hasPort {
			r.Host += ":" + port
		}
	}
	return r, ok
}

func (n normalizer) path(p string) (string, bool) {
	// A fragment is no part of a request, and a path begins with a slash; Envoy refuses others whatever is configured.
	if strings.Contains(p, "#") || !strings.HasPrefix(p, "/") {
		return "", false
	}
	path, query, hasQuery := strings.Cut(p, "?")
	if n.unescape {
		path = unescapeSlashes(path)
	}
	if n.dots {
		var ok bool
		if path, ok = unescapeUnreserved(path); !ok {
			return "", false
		}
		path = removeDots(strings.ReplaceAll(path, `\`, "/"))
	}
	if n.merge {
		path = mergeSlashes(path)
	}
	if hasQuery {
		path += "?" + query
	}
	return path, true
}

var escapedSlashes = strings.NewReplacer("%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`)

func unescapeSlashes(p string) string { return escapedSlashes.Replace(p) }

// unescapeUnreserved decodes what needs no escape (RFC 3986, 2.3). A percent sign that begins no escape stays, but where
// decoding what follows would make it begin one, it is escaped itself. It returns false for the escape of a zero byte.
func unescapeUnreserved(p string) (string, bool) {
	var out []byte
	var lone []int // where percent signs stay
	for i := 0; i < len(p); i++ {
		v, escape := escapeAt(p, i)
		switch {
		case p[i] != '%':
			out = append(out, p[i])
			continue
		case !escape:
			lone = append(lone, len(out))
			out = append(out, '%')
			continue
		case v == 0:
			return "", false
		case unreserved(v):
			out = append(out, v)
		default:
			out = append(out, p[i:i+3]...)
		}
		i += 2
	}
	for _, at := range slices.Backward(lone) {
		if _, made := escapeAt(string(out), at); made {
			out = slices.Insert(out, at+1, '2', '5')
		}
	}
	return string(out), true
}

// escapeAt returns the byte that an escape at i stands for; false when there is none.
func escapeAt(p string, i int) (byte, bool) {
	if p[i] != '%' || i+2 >= len(p) {
		return 0, false
	}
	v, err := strconv.ParseUint(p[i+1:i+3], 16, 8)
	return byte(v), err == nil
}

func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("-._~", c) >= 0
}

// removeDots resolves "." and ".." (RFC 3986, 5.2.4), also where parameters follow them, as in "..;a=b".
func removeDots(p string) string {
	var out []string
	segments := strings.Split(p, "/")[1:]
	for i, s := range segments {
		last := i == len(segments)-1
		name, _, _ := strings.Cut(s, ";")
		switch name {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

func mergeSlashes(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}
