package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalize(t *testing.T) {
	all := normalizer{unescape: true, dots: true, merge: true, hostDot: true}
	for in, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/a//b": "/a/b", "/a/../b": "/b", "/a/./b": "/a/b", "/../a": "/a", "/a/..": "/", "/a/b/..": "/a/", "/a/.": "/a/",
		"/a%2f..%2Fb": "/b", "/a%5c..%5Cb": "/b", `/a\..\b`: "/b", "/%2e%2e/a": "/a", "/a/%2E%2e/b": "/b", "/a/..;x=1/b": "/b", "/a/.;/b": "/a/b",
		"/%61": "/a", "/%7e": "/~", "/%20": "/%20", "/a%252f": "/a%252f", "/a?x=/../y//z%2f": "/a?x=/../y//z%2f", "/a;x=1": "/a;x=1", "/...": "/...",
		"/%": "/%", "/%0": "/%0", "/%zz": "/%zz", "/%%41": "/%A", "/%%32%65": "/%252e", "/%2%65": "/%252e", "/%%32%66": "/%252f", "/%2%2e": "/%2.",
	} {
		got, ok := all.path(in)
		require.True(t, ok, in)
		require.Equal(t, want, got, in)
		again, _ := all.path(got)
		require.Equal(t, got, again, "what is normal stays so")
	}
	for _, in := range []string{"", "a", "*", "%2fa", "/a#b", "/%00", "/a/%00/b"} {
		_, ok := all.path(in)
		require.False(t, ok, in)
	}
	got, ok := normalizer{}.path("/a//../%2e%2f")
	require.True(t, ok)
	require.Equal(t, "/a//../%2e%2f", got, "what the manager is not told to do is not done")
}

func TestHostDot(t *testing.T) {
	for in, want := range map[string]string{"a.b": "a.b", "a.b.": "a.b", "a.b.:80": "a.b:80", "a.b:80": "a.b:80"} {
		got, _ := normalizer{hostDot: true}.request(Request{Path: "/", Host: in})
		require.Equal(t, want, got.Host)
	}
}
