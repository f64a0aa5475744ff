// Package transcript runs the osm command as users do, as a process with arguments, a kubeconfig and a terminal's absence, against
// an API server in memory, and compares what it prints byte for byte: one script per command in testdata, in the form of
// github.com/rogpeppe/go-internal/testscript. Input: the scripts. Output: failures. `go test -update` writes what was printed
// into the scripts; look at the difference before it is committed, because other people's scripts parse these texts.
package transcript
