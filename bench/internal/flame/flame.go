// Package flame draws a profile as a flame graph. Input: a profile of pprof. Output: an SVG picture; each box is a function, as wide as
// its share of the profile, on top of who called it. Boxes too narrow to be seen are left out.
package flame

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

const (
	width, rowHeight = 1200.0, 16
	// narrowest box that is drawn, in pixels; charWidth is a letter's.
	narrowest, charWidth = 1.5, 6.2
)

// node is a function, called by those above it in the tree.
type node struct {
	name  string
	total int64
	under map[string]*node
}

func (n *node) child(name string) *node {
	if n.under == nil {
		n.under = map[string]*node{}
	}
	if n.under[name] == nil {
		n.under[name] = &node{name: name}
	}
	return n.under[name]
}

// Write draws the values of one sample type of a profile, such as "cpu" or "inuse_space".
func Write(w io.Writer, p *profile.Profile, sampleType string) error {
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == sampleType })
	if at < 0 {
		return fmt.Errorf("the profile has no samples of type %q", sampleType)
	}
	root := tree(p, at)
	if root.total == 0 {
		return fmt.Errorf("the profile has no %s at all", sampleType)
	}
	var boxes strings.Builder
	deepest := draw(&boxes, root, 0, 0, width/float64(root.total), root.total)
	height := (deepest + 1) * rowHeight
	_, err := fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %d\" font-family=\"monospace\" font-size=\"10\">\n%s</svg>\n", width, height, boxes.String())
	return err
}

// tree adds up the samples by their stacks, callers first.
func tree(p *profile.Profile, at int) *node {
	root := &node{name: "all"}
	for _, s := range p.Sample {
		root.total += s.Value[at]
		n := root
		for _, location := range slices.Backward(s.Location) {
			for _, line := range slices.Backward(location.Line) { // inlined functions come before their callers
				n = n.child(line.Function.Name)
				n.total += s.Value[at]
			}
		}
	}
	return root
}

// draw writes a function and what it calls, the widest first, and returns how deep that goes.
func draw(w *strings.Builder, n *node, x float64, depth int, scale float64, all int64) int {
	wide := float64(n.total) * scale
	if wide < narrowest {
		return depth - 1
	}
	short := n.name[strings.LastIndexByte(n.name, '/')+1:]
	if room := int(wide / charWidth); room < 3 {
		short = ""
	} else if len(short) > room {
		short = short[:room-1] + "…"
	}
	y := depth * rowHeight
	_, _ = fmt.Fprintf(w, "<g><title>%s %.1f %%</title><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
		html.EscapeString(n.name), 100*float64(n.total)/float64(all), x, y, wide-0.5, rowHeight-1, colour(n.name))
	if short != "" {
		_, _ = fmt.Fprintf(w, "<text x=\"%.1f\" y=\"%d\">%s</text>", x+2, y+rowHeight-5, html.EscapeString(short))
	}
	w.WriteString("</g>\n")
	deepest := depth
	for _, c := range slices.SortedFunc(maps.Values(n.under), func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.name, b.name))
	}) {
		deepest = max(deepest, draw(w, c, x, depth+1, scale, all))
		x += float64(c.total) * scale
	}
	return deepest
}

// colour tells whose code it is: the project's own, the Go runtime's and library's, or a module's.
func colour(function string) string {
	first, _, slash := strings.Cut(function, "/")
	switch {
	case strings.HasPrefix(function, "openservicemesh.io/osm/"), strings.HasPrefix(function, "main."):
		return "#f9a03f"
	case slash && strings.Contains(first, "."):
		return "#8fb8de"
	}
	return "#d8d8d8"
}
