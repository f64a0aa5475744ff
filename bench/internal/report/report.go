// Package report is the one shape of every bench's result: a figure beside its bars.
// Input: rows. Output: a table as text, Markdown or JSON. It measures nothing itself.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// Row is one figure. Must and Aim are its bars in the same unit; 0 means that there is none.
type Row struct {
	Name   string  `json:"name"`
	Figure float64 `json:"figure"`
	Unit   string  `json:"unit"`
	Must   float64 `json:"must,omitempty"`
	Aim    float64 `json:"aim,omitempty"`
	// AtLeast turns the bars round: more is better.
	AtLeast bool `json:"atLeast,omitempty"`
	// Runs is how often it was measured, Spread the lowest and highest of those, as text.
	Runs   int    `json:"runs"`
	Spread string `json:"spread,omitempty"`
	// Note says what was compared with what.
	Note string `json:"note,omitempty"`
}

// Verdict is "aim" or "must" when that bar holds, "MISSED" when none does, and "" for a row without bars.
func (r Row) Verdict() string {
	switch {
	case r.Must == 0 && r.Aim == 0:
		return ""
	case r.Aim != 0 && r.holds(r.Aim):
		return "aim"
	case r.Must != 0 && r.holds(r.Must):
		return "must"
	}
	return "MISSED"
}

func (r Row) holds(bar float64) bool {
	if r.AtLeast {
		return r.Figure >= bar
	}
	return r.Figure <= bar
}

// Table is the result of one bench.
type Table struct {
	Title string `json:"title"`
	// Command made it.
	Command string `json:"command"`
	Rows    []Row  `json:"rows"`
}

// Add appends a row.
func (t *Table) Add(r Row) { t.Rows = append(t.Rows, r) }

var heads = []string{"figure", "value", "unit", "must", "aim", "verdict", "runs", "spread", "note"}

// Text writes the table for a terminal.
func (t *Table) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if _, err := fmt.Fprintf(tw, "%s\n", t.Title); err != nil {
		return err
	}
	for _, cells := range append([][]string{heads}, t.cells()...) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(tw, "%s\t", c)
		}
		_, _ = fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// Markdown writes the table for docs/performance.md.
func (t *Table) Markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "## %s\n\n`%s`\n\n", t.Title, t.Command)
	line := func(cells []string) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(w, "| %s ", c)
		}
		_, _ = fmt.Fprintln(w, "|")
	}
	line(heads)
	line([]string{"---", "---", "---", "---", "---", "---", "---", "---", "---"})
	for _, cells := range t.cells() {
		line(cells)
	}
	_, _ = fmt.Fprintln(w)
	return err
}

func (t *Table) cells() [][]string {
	var out [][]string
	for _, r := range t.Rows {
		out = append(out, []string{r.Name, number(r.Figure), r.Unit, bar(r.Must), bar(r.Aim), r.Verdict(), fmt.Sprint(r.Runs), r.Spread, r.Note})
	}
	return out
}

// number keeps three significant digits, and whole numbers whole.
func number(f float64) string {
	if f >= 100 || f <= -100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func bar(f float64) string {
	if f == 0 {
		return ""
	}
	return number(f)
}

// Write stores the table as JSON.
func (t *Table) Write(file string) error {
	js, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(js, '\n'), 0o644)
}

// Publish writes the table for a terminal and, unless file is empty, stores it there too.
func (t *Table) Publish(w io.Writer, file string) error {
	if err := t.Text(w); err != nil || file == "" {
		return err
	}
	return t.Write(file)
}

// Read is the other direction of Write.
func Read(file string) (*Table, error) {
	js, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	if err := json.Unmarshal(js, t); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// Median of some figures, at least one.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Spread is the lowest and the highest of some figures, at least one, as a row shows them.
func Spread(values []float64) string {
	return fmt.Sprintf("%.2f–%.2f", slices.Min(values), slices.Max(values))
}

// SidecarMemory are the bars of a sidecar's anonymous memory in MB, by the number of services in the mesh; 0 where there
// is none.
func SidecarMemory(services int) (must, aim float64) {
	switch services {
	case 10:
		return 25, 18
	case 100:
		return 35, 22
	case 1000:
		return 60, 30
	}
	return 0, 0
}
