package guides

import (
	"fmt"
	"regexp"
	"strings"
)

// Step is one command of a page, or one block of them.
type Step struct {
	// Line is the command's line in the page, from 1.
	Line int
	// Command is for a shell.
	Command string
	// Output is what the page shows below the command; empty when it shows nothing.
	Output []string
	// Cleanup is true for what stands below a heading that begins with "Clean up".
	Cleanup bool
}

var fence = regexp.MustCompile("^```([a-z]*)$")

// Read takes the blocks of a page that are fenced as console or bash. In a bash block every line begins
// a step, which goes on while its lines end in a backslash or a here-document is open. In a console block "$ " begins one, and
// other lines are what it prints.
func Read(page string) ([]Step, error) {
	var steps []Step
	kind, cleanup, from := "", false, 0
	var block []string
	for i, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case kind == "" && m != nil && m[1] != "":
			kind, from, block = m[1], i+1, nil
		case kind == "" && strings.HasPrefix(line, "#"):
			cleanup = strings.HasPrefix(strings.TrimLeft(line, "# "), "Clean up")
		case kind != "" && line == "```":
			more, err := read(kind, from+1, block)
			if err != nil {
				return nil, err
			}
			for _, s := range more {
				s.Cleanup = cleanup
				steps = append(steps, s)
			}
			kind = ""
		case kind != "":
			block = append(block, line)
		}
	}
	if kind != "" {
		return nil, fmt.Errorf("line %d: the block is not closed", from)
	}
	return steps, nil
}

func read(kind string, line int, block []string) ([]Step, error) {
	switch kind {
	case "bash":
		return commands(line, block, "")
	case "console":
		return commands(line, block, "$ ")
	default:
		return nil, nil
	}
}

var hereDocument = regexp.MustCompile(`<<-? *['"]?(\w+)['"]?`)

func commands(line int, block []string, prompt string) ([]Step, error) {
	var steps []Step
	for i := 0; i < len(block); i++ {
		if prompt == "" && strings.TrimSpace(block[i]) == "" {
			continue
		}
		command, found := strings.CutPrefix(block[i], prompt)
		if !found {
			if len(steps) == 0 {
				return nil, fmt.Errorf("line %d: a console block begins with a command, after %q", line+i, prompt)
			}
			last := &steps[len(steps)-1]
			last.Output = append(last.Output, block[i])
			continue
		}
		step := Step{Line: line + i, Command: command}
		end := ""
		for open := true; open; {
			if m := hereDocument.FindStringSubmatch(block[i]); m != nil && end == "" {
				end = m[1]
			}
			open = strings.HasSuffix(block[i], `\`) || end != "" && block[i] != end
			if open {
				if i++; i == len(block) {
					return nil, fmt.Errorf("line %d: the command does not end in its block", step.Line)
				}
				step.Command += "\n" + block[i]
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Exit says whether the page tells that the command fails: it then shows the exit code.
func (s Step) Exit() bool {
	return strings.Contains(strings.Join(s.Output, "\n"), "exit code")
}

// Check compares what the command printed with what the page shows: its lines, in this order, maybe with others between
// them. "…" in a line stands for anything, and white space for any amount of it.
func (s Step) Check(printed string) error {
	rest := strings.Split(printed, "\n")
	for _, want := range s.Output {
		if strings.TrimSpace(want) == "" || strings.TrimSpace(want) == "…" {
			continue
		}
		at := -1
		for i, line := range rest {
			if fits(want, line) {
				at = i
				break
			}
		}
		if at < 0 {
			return fmt.Errorf("there is no line %q", want)
		}
		rest = rest[at+1:]
	}
	return nil
}

func fits(want, line string) bool {
	pattern := regexp.QuoteMeta(strings.Join(strings.Fields(want), " "))
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(strings.Join(strings.Fields(line), " "))
}
