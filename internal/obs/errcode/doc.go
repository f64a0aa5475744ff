// Package errcode is the table of OSM error codes: the `error_code` field of logs, the label of osm_error_err_code_count
// and what `osm support error-info` explains. Input: nothing. Output: codes, their descriptions and an error type that
// carries one. It imports the standard library only.
package errcode
