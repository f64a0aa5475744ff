package bookshop

import (
	"sort"
	"sync"
	"time"
)

const (
	// recentEntries is how many entries a ledger shows.
	recentEntries = 20
	// maxNames bounds how many different names a ledger counts, because the
	// names come from request headers: the rest is counted as otherNames.
	maxNames   = 64
	maxNameLen = 80
	otherNames = "others"
)

// Entry is one thing that happened, as shown on a page and in JSON.
type Entry struct {
	Time time.Time `json:"time"`
	// Who is the other side: the buyer at a store, the store at a buyer.
	Who string `json:"who"`
	// What is a short sentence.
	What string `json:"what"`
}

// Tally is how many books one name stands for.
type Tally struct {
	Name  string `json:"name"`
	Books int    `json:"books"`
}

// Report is the state of one application: the body of /api/books and the
// input of its page.
type Report struct {
	App      string `json:"app"`
	Identity string `json:"identity,omitempty"`
	// Books counts what the application exists for: books bought, stolen,
	// sold or delivered.
	Books int `json:"books"`
	// Failures counts outgoing requests that did not end with 200.
	Failures int `json:"failures"`
	// LastError is the newest failure, and empty after a success.
	LastError string `json:"lastError,omitempty"`
	// Tallies are sorted by name.
	Tallies []Tally `json:"tallies"`
	// Recent is newest first.
	Recent []Entry `json:"recent"`
}

// ledger counts books by name; safe for concurrent use.
type ledger struct {
	now func() time.Time

	mu        sync.Mutex
	books     int
	failures  int
	lastError string
	byName    map[string]int
	recent    []Entry
}

func newLedger(now func() time.Time) *ledger {
	return &ledger{now: now, byName: map[string]int{}}
}

// record counts books under who and answers the new total.
func (l *ledger) record(who, what string, books int) int {
	who = clip(who)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.byName[who]; !known && len(l.byName) >= maxNames {
		who = otherNames
	}
	l.byName[who] += books
	l.books += books
	l.lastError = ""
	l.recent = append(l.recent, Entry{Time: l.now(), Who: who, What: what})
	if extra := len(l.recent) - recentEntries; extra > 0 {
		l.recent = append(l.recent[:0], l.recent[extra:]...)
	}
	return l.books
}

// succeeded clears the last error without counting a book.
func (l *ledger) succeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastError = ""
}

func (l *ledger) failed(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.lastError = message
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.books
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.books, l.failures, l.lastError, l.recent = 0, 0, "", nil
	l.byName = map[string]int{}
}

// report is a copy: the caller may keep it.
func (l *ledger) report(app, identity string) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{
		App: app, Identity: identity, Books: l.books, Failures: l.failures, LastError: l.lastError,
		Tallies: make([]Tally, 0, len(l.byName)), Recent: make([]Entry, 0, len(l.recent)),
	}
	for name, n := range l.byName {
		r.Tallies = append(r.Tallies, Tally{Name: name, Books: n})
	}
	sort.Slice(r.Tallies, func(i, j int) bool { return r.Tallies[i].Name < r.Tallies[j].Name })
	for i := len(l.recent) - 1; i >= 0; i-- {
		r.Recent = append(r.Recent, l.recent[i])
	}
	return r
}

func clip(name string) string {
	if len(name) > maxNameLen {
		return name[:maxNameLen]
	}
	return name
}
