package verify

import (
	"fmt"
	"io"
	"strings"
)

// Status is the outcome of a verification.
type Status string

// Outcomes.
const (
	Success Status = "Success"
	Failure Status = "Failure"
	Unknown Status = "Unknown"
)

// Result is the outcome of one verification and of its steps.
type Result struct {
	// Context says what was verified.
	Context string
	Status  Status
	// Reason and Suggestion are empty where all is well; a Suggestion may be empty in any case.
	Reason, Suggestion string
	Steps              []Result
}

// Texts of a verification whose steps tell the cause.
const (
	stepFailed     = "A verification step failed"
	followTheSteps = "Please follow the suggestions listed in the failed steps below to resolve the issue"
)

func success(context string) Result { return Result{Context: context, Status: Success} }

func failure(context, suggestion, reason string, args ...any) Result {
	return Result{Context: context, Status: Failure, Reason: fmt.Sprintf(reason, args...), Suggestion: suggestion}
}

func unknown(context, suggestion, reason string, args ...any) Result {
	return Result{Context: context, Status: Unknown, Reason: fmt.Sprintf(reason, args...), Suggestion: suggestion}
}

// all is the outcome of a verification that consists of steps.
func all(context string, steps ...Result) Result {
	out := Result{Context: context, Status: Success, Steps: steps}
	for _, s := range steps {
		if s.Status != Success {
			out.Status, out.Reason, out.Suggestion = Failure, stepFailed, followTheSteps
		}
	}
	return out
}

var rule = strings.Repeat("-", 45) + "\n"

// Print writes a result and those of its steps that are no success.
func Print(w io.Writer, r Result, colour bool) {
	_, _ = io.WriteString(w, rule)
	print(w, r, colour)
}

func print(w io.Writer, r Result, colour bool) {
	var out strings.Builder
	fmt.Fprintf(&out, "[+] Context: %s\nStatus: %s\n", r.Context, r.Status.text(colour))
	if r.Reason != "" {
		fmt.Fprintf(&out, "Reason: %s\n", r.Reason)
	}
	if r.Suggestion != "" {
		fmt.Fprintf(&out, "Suggestion: %s\n", r.Suggestion)
	}
	_, _ = io.WriteString(w, out.String()+"\n"+rule)
	for _, s := range r.Steps {
		if s.Status != Success {
			print(w, s, colour)
		}
	}
}

func (s Status) text(colour bool) string {
	if !colour {
		return string(s)
	}
	code := map[Status]string{Success: "32", Failure: "31", Unknown: "33"}[s]
	return "\x1b[" + code + "m" + string(s) + "\x1b[0m"
}
