package fleet

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Spec says whose sidecars to be.
type Spec struct {
	// Address is host:port of the control plane, Name the DNS name in its certificate, Roots the authority's as PEM.
	Address, Name, Roots string
	// Tokens has one for each sidecar.
	Tokens []string
}

// Answer is what one command did.
type Answer struct {
	Error string `json:",omitempty"`
	// Proxies were reached by what was waited for; At is when the last of them answered or was complete.
	Proxies int
	At      time.Time
	// Bytes and Responses went to Receivers since the last reset.
	Bytes, Responses, Receivers int
	// Broken is how many streams ended unasked, since the start; Why is how the last of them did.
	Broken int64
	Why    string `json:",omitempty"`
}

type fleet struct {
	spec       Spec
	roots      *x509.CertPool
	proxies    []*proxy
	references references
	broken     atomic.Int64
	why        atomic.Pointer[string]
	news       chan struct{}
}

// Run is the process of the sidecars: it obeys until in ends.
//
//	connect FROM TO         open the streams of sidecars FROM to TO-1
//	disconnect FROM TO      end them
//	token FROM TO TOKEN     give them another token for their next streams
//	slow FROM TO DURATION   have them answer late
//	refuse FROM TO          have them refuse changed routes; accept FROM TO ends that
//	reset                   begin to count anew
//	forget                  take nobody for complete until there is a new stream
//	complete N TIMEOUT      wait until N have all that their resources name, on their present streams
//	await TYPE N TIMEOUT    wait until N have answered a response of a type (CDS, EDS, LDS, RDS, SDS) since the reset
//	count                   tell what came since the reset
func Run(in io.Reader, out io.Writer) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 256<<20)
	if !scan.Scan() {
		return scan.Err()
	}
	f := &fleet{references: references{refs: map[[3]string][]envoy.Ref{}}, news: make(chan struct{}, 1), roots: x509.NewCertPool()}
	if err := json.Unmarshal(scan.Bytes(), &f.spec); err != nil {
		return err
	}
	f.roots.AppendCertsFromPEM([]byte(f.spec.Roots))
	for _, token := range f.spec.Tokens {
		p := &proxy{fleet: f, token: token, held: map[envoy.TypeURL]map[string]string{}, named: map[envoy.TypeURL]map[string]bool{}, since: map[envoy.TypeURL]int{}}
		for _, t := range envoy.Types() {
			p.held[t] = map[string]string{}
			p.named[t] = map[string]bool{}
		}
		f.proxies = append(f.proxies, p)
	}
	for scan.Scan() {
		a, err := f.obey(strings.Fields(scan.Text()))
		if err != nil {
			a.Error = err.Error()
		}
		a.Broken = f.broken.Load()
		if why := f.why.Load(); why != nil {
			a.Why = *why
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	for _, p := range f.proxies {
		p.stop()
	}
	return scan.Err()
}

func (f *fleet) broke(err error) {
	f.broken.Add(1)
	if err != nil {
		text := err.Error()
		f.why.Store(&text)
	}
}

func (f *fleet) progress() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

func (f *fleet) obey(words []string) (Answer, error) {
	if len(words) == 0 {
		return Answer{}, fmt.Errorf("no command")
	}
	switch words[0] {
	case "reset":
		f.each(0, len(f.proxies), func(p *proxy) { clear(p.since); p.bytes = 0 })
		return Answer{}, nil
	case "forget":
		f.each(0, len(f.proxies), func(p *proxy) { p.complete = time.Time{} })
		return Answer{}, nil
	case "count":
		return f.count(Answer{}), nil
	case "complete", "await":
		return f.wait(words)
	}
	var from, to int
	if len(words) < 3 {
		return Answer{}, fmt.Errorf("%q: a command with FROM and TO is expected", words)
	}
	if _, err := fmt.Sscan(strings.Join(words[1:3], " "), &from, &to); err != nil {
		return Answer{}, err
	}
	for _, p := range f.proxies[from:to] {
		switch words[0] {
		case "connect":
			p.start(f.spec.Address, f.spec.Name, f.roots)
		case "disconnect":
			p.stop()
		case "token":
			if len(words) != 4 {
				return Answer{}, fmt.Errorf("%q: a token is expected", words)
			}
			p.token = words[3]
		case "refuse", "accept":
			p.refuse.Store(words[0] == "refuse")
		case "slow":
			d, err := time.ParseDuration(words[3])
			if err != nil {
				return Answer{}, err
			}
			p.delay.Store(int64(d))
		default:
			return Answer{}, fmt.Errorf("no command is called %q", words[0])
		}
	}
	return Answer{}, nil
}

func (f *fleet) each(from, to int, do func(*proxy)) {
	for _, p := range f.proxies[from:to] {
		p.mu.Lock()
		do(p)
		p.mu.Unlock()
	}
}

// count adds to an answer what came since the last reset.
func (f *fleet) count(a Answer) Answer {
	f.each(0, len(f.proxies), func(p *proxy) {
		n := 0
		for _, k := range p.since {
			n += k
		}
		if n > 0 {
			a.Receivers++
			a.Responses += n
			a.Bytes += p.bytes
		}
	})
	return a
}

var shortNames = map[string]envoy.TypeURL{
	"CDS": envoy.Cluster, "EDS": envoy.Endpoint, "LDS": envoy.Listener, "RDS": envoy.Route, "SDS": envoy.Secret,
}

// wait answers with what was reached, also when that is too few.
func (f *fleet) wait(words []string) (Answer, error) {
	reached := func(p *proxy) time.Time { return p.complete }
	if words[0] == "await" {
		t, ok := shortNames[words[1]]
		if !ok {
			return Answer{}, fmt.Errorf("no type is called %q", words[1])
		}
		reached = func(p *proxy) time.Time {
			if p.since[t] == 0 {
				return time.Time{}
			}
			return p.lastAck
		}
	}
	n, err := strconv.Atoi(words[len(words)-2])
	if err != nil {
		return Answer{}, err
	}
	patience, err := time.ParseDuration(words[len(words)-1])
	if err != nil {
		return Answer{}, err
	}
	end := time.After(patience)
	for {
		a := f.reached(reached)
		if a.Proxies >= n {
			return f.count(a), nil
		}
		select {
		case <-f.news:
			time.Sleep(lookPause)
		case <-end:
			return f.count(a), fmt.Errorf("%s: %d of %d within %s", words, a.Proxies, n, patience)
		}
	}
}

// lookPause is between two looks at all proxies: each takes as long as they take for a response, and the times are theirs.
const lookPause = 20 * time.Millisecond

// reached answers how many proxies have a time, and the last of those times.
func (f *fleet) reached(at func(*proxy) time.Time) (a Answer) {
	f.each(0, len(f.proxies), func(p *proxy) {
		if t := at(p); !t.IsZero() {
			a.Proxies++
			if t.After(a.At) {
				a.At = t
			}
		}
	})
	return a
}

// Main is Run with the process's own input and output.
func Main() error { return Run(os.Stdin, os.Stdout) }
