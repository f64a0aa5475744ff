package flame

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// main calls work, which calls parse and, in line, sum.
func sampled() *profile.Profile {
	function := func(name string) *profile.Function { return &profile.Function{Name: name} }
	at := func(names ...string) *profile.Location {
		l := &profile.Location{}
		for _, n := range names {
			l.Line = append(l.Line, profile.Line{Function: function(n)})
		}
		return l
	}
	begin := at("main.main")
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples"}, {Type: "cpu"}},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{at("k8s.io/x.parse[...]"), at("openservicemesh.io/osm/a.work"), begin}, Value: []int64{1, 75}},
			{Location: []*profile.Location{at("runtime.sum<T>", "openservicemesh.io/osm/a.work"), begin}, Value: []int64{1, 25}},
		},
	}
}

func TestWrite(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Write(&out, sampled(), "cpu"))
	svg := out.String()
	for _, want := range []string{
		`<title>all 100.0 %</title><rect x="0.0" y="0" width="1199.5"`,
		`<title>openservicemesh.io/osm/a.work 100.0 %</title><rect x="0.0" y="32"`,
		`<title>k8s.io/x.parse[...] 75.0 %</title><rect x="0.0" y="48" width="899.5" height="15" fill="#8fb8de"`,
		`<title>runtime.sum&lt;T&gt; 25.0 %</title><rect x="900.0" y="48" width="299.5" height="15" fill="#d8d8d8"`,
		`viewBox="0 0 1200 64"`,
	} {
		require.Contains(t, svg, want)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else {
			require.NoError(t, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	require.ErrorContains(t, Write(io.Discard, sampled(), "inuse_space"), `no samples of type "inuse_space"`)
	empty := sampled()
	empty.Sample = nil
	require.ErrorContains(t, Write(io.Discard, empty, "cpu"), "no cpu at all")
}

// What is too narrow to be seen is left out, and what is drawn stays within its box.
func TestNarrow(t *testing.T) {
	p := sampled()
	p.Sample[1].Value[1] = 0
	p.Sample[0].Value[1] = 1 << 20
	p.Sample[1].Value[1] = 1
	var out strings.Builder
	require.NoError(t, Write(&out, p, "cpu"))
	require.NotContains(t, out.String(), "sum")
}
