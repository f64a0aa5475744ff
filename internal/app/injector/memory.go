package injector

import "runtime/debug"

// gcPercent lets the heap grow to five times what is in use before it is cleaned. The live heap is a few MB and an
// injection makes a third of one, so at Go's default one answer in ten would wait for the collector. The limit that
// automemlimit takes from the container still holds.
const gcPercent = 400

// TuneMemory is called once, by the program and by the benchmark that speaks for it.
func TuneMemory() { debug.SetGCPercent(gcPercent) }
