package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// Values of -o of commands that list something; "" is the table that has always been printed.
const (
	outputJSON = "json"
	outputYAML = "yaml"
	outputWide = "wide"
)

// listOutput is -o of a command that lists something.
type listOutput struct{ format string }

func (o *listOutput) flag(f *pflag.FlagSet) {
	f.StringVarP(&o.format, "output", "o", "", "json, yaml, or wide for a table with more columns")
}

// check refuses a format that does not exist, before anything is asked of a cluster.
func (o listOutput) check() error {
	switch o.format {
	case "", outputJSON, outputYAML, outputWide:
		return nil
	}
	return fmt.Errorf("-o %q is not known; use %s, %s or %s", o.format, outputJSON, outputYAML, outputWide)
}

func (o listOutput) wide() bool { return o.format == outputWide }

func (o listOutput) structured() bool { return o.format == outputJSON || o.format == outputYAML }

// write writes a value as JSON or YAML and tells whether that is what was asked for.
func (o listOutput) write(out io.Writer, v any) (written bool, err error) {
	var text []byte
	switch o.format {
	case outputJSON:
		text, err = json.MarshalIndent(v, "", "  ")
		text = append(text, '\n')
	case outputYAML:
		text, err = yaml.Marshal(v)
	default:
		return false, nil
	}
	if err == nil {
		_, err = out.Write(text)
	}
	return true, err
}

// colours tells whether to colour what goes to standard output: on a terminal only, and not where NO_COLOR says no.
func (a *app) colours() bool {
	f, ok := a.Out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}
