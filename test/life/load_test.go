package life

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// load is what `osm-meshtest load` prints, summed up over its runs.
type load struct {
	Requests int64            `json:"requests"`
	Failed   int64            `json:"failed"`
	Errors   map[string]int64 `json:"errors"`
}

// startLoad has the clients of both namespaces call the server of the other one, each in two overlapping streams, until the
// returned function is called, which sums up.
func startLoad(t *testing.T) (stop func() load) {
	t.Helper()
	var (
		done  atomic.Bool
		wg    sync.WaitGroup
		mu    sync.Mutex
		total = load{Errors: map[string]int64{}}
	)
	for i, from := range []string{classic, native, classic, native} {
		wg.Go(func() {
			for seconds := 5 + i; !done.Load(); {
				out, err := mesh.Output(t.Context(), "kubectl", "exec", "-n", from, "client", "-c", "app", "--", "osm-meshtest", "load",
					"-url", "http://server."+peer(from)+":8080/ok", "-duration", fmt.Sprintf("%ds", seconds), "-rate", "50")
				var l load
				if bad := json.Unmarshal([]byte(out), &l); bad != nil {
					t.Errorf("load from %s: %v %v\n%s", from, err, bad, out)
					return
				}
				mu.Lock()
				total.Requests += l.Requests
				total.Failed += l.Failed
				for k, n := range l.Errors {
					total.Errors[k] += n
				}
				mu.Unlock()
			}
		})
	}
	return func() load {
		done.Store(true)
		wg.Wait()
		return total
	}
}

func peer(namespace string) string {
	if namespace == classic {
		return native
	}
	return classic
}
