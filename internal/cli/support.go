package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/obs/errcode"
)

func (a *app) supportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "support",
		Short: "supportability tooling",
		Long:  "The subcommands of support explain error codes and collect what somebody who helps needs to know.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.errorInfoCommand(), a.bugReportCommand())
	return cmd
}

func (a *app) errorInfoCommand() *cobra.Command {
	var output listOutput
	cmd := &cobra.Command{
		Use:   "error-info [ERROR_CODE]",
		Short: "error code information",
		Long: `Explain an error code, as it stands in the field error_code of logs and in the metric osm_error_err_code_count; without a code,
all of them.
`,
		Example: "  osm support error-info E1000\n",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			return a.errorInfo(args, output)
		},
	}
	output.flag(cmd.Flags())
	return cmd
}

var errorCodeForm = regexp.MustCompile(`^E\d{4}$`)

// codeInfo is one error code as -o json and yaml show it.
type codeInfo struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

func (a *app) errorInfo(args []string, output listOutput) error {
	codes := errcode.All()
	if len(args) == 1 {
		if !errorCodeForm.MatchString(args[0]) {
			return fmt.Errorf("error code '%s' is not a valid error code format, should be of the form Exxxx, ex. E1000", args[0])
		}
		codes = []errcode.Code{errcode.Code(args[0])}
		if _, known := errcode.Describe(codes[0]); !known {
			return fmt.Errorf("error code '%s' is not a valid error code recognized by OSM", args[0])
		}
	}
	list := make([]codeInfo, 0, len(codes))
	for _, c := range codes {
		description, _ := errcode.Describe(c)
		list = append(list, codeInfo{string(c), description})
	}
	if written, err := output.write(a.Out, list); written {
		return err
	}
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		rows = append(rows, []string{c.Code, c.Description})
	}
	say(a.Out, "%s", grid([]string{"ERROR CODE", "DESCRIPTION"}, rows, 80))
	return nil
}

// grid draws a table with a line below each row. Cells are wrapped between words at a width; headers stand in the middle.
func grid(header []string, rows [][]string, wrap int) string {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = len(h)
	}
	wrapped := make([][][]string, 0, len(rows))
	for _, row := range rows {
		cells := make([][]string, len(row))
		for i, cell := range row {
			cells[i] = wrapWords(cell, wrap)
			for _, line := range cells[i] {
				widths[i] = max(widths[i], len(line))
			}
		}
		wrapped = append(wrapped, cells)
	}
	var out strings.Builder
	rule := "+"
	for _, w := range widths {
		rule += strings.Repeat("-", w+2) + "+"
	}
	rule += "\n"
	out.WriteString(rule + "|")
	for i, h := range header {
		gap := widths[i] - len(h)
		out.WriteString(" " + strings.Repeat(" ", gap/2) + h + strings.Repeat(" ", gap-gap/2) + " |")
	}
	out.WriteString("\n" + rule)
	for _, cells := range wrapped {
		writeCells(&out, cells, widths)
		out.WriteString(rule)
	}
	return out.String()
}

func writeCells(out *strings.Builder, cells [][]string, widths []int) {
	height := 0
	for _, c := range cells {
		height = max(height, len(c))
	}
	for n := range height {
		out.WriteString("|")
		for i, c := range cells {
			line := ""
			if n < len(c) {
				line = c[n]
			}
			fmt.Fprintf(out, " %-*s |", widths[i], line)
		}
		out.WriteString("\n")
	}
}

// wrapWords breaks a text between words into lines of at most width bytes; a longer word has a line of its own.
func wrapWords(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
