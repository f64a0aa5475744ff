package errcode

import (
	"errors"
	"fmt"
)

// Code is an OSM error code, for example "E4016".
type Code string

// Error is an error that has a code. The code is not part of the text: logs carry it in a field of its own.
type Error struct {
	Code Code
	Err  error
}

// Error returns the text of the wrapped error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Errorf formats as fmt.Errorf does, %w included, and attaches the code.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Of returns the code of the outermost error in err's tree that has one, or "".
func Of(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
