package walkthrough

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// summary is what `osm-meshtest load` prints.
type summary struct {
	Requests int64            `json:"requests"`
	OK       int64            `json:"ok"`
	Failed   int64            `json:"failed"`
	ByHeader map[string]int64 `json:"byHeader"`
	Errors   map[string]int64 `json:"errors"`
}

const (
	requests  = 400
	v2        = "bookstore-v2"
	splitName = "bookstore-split"
)

func (s *Story) canary(ctx context.Context) error {
	if err := s.apply(ctx, policiesDir+"02-deploy-bookstore-v2.yaml"); err != nil {
		return err
	}
	err := s.until(ctx, 60*time.Second, "bookstore-v2 is 2/2", func() error {
		_, err := s.quiet(ctx, "kubectl", "rollout", "status", "deployment", v2, "-n", "bookstore", "--timeout=50s")
		return err
	})
	if err != nil {
		return err
	}
	err = s.change(ctx, "traffic split", `identity=bookstore-v2`, func() (string, error) {
		return s.run(ctx, "kubectl", "apply", "-f", policiesDir+"03-deploy-smi-trafficsplit.yaml")
	}, "trafficsplit.split.smi-spec.io/"+splitName+" created", nil)
	if err != nil {
		return err
	}
	if err := s.share(ctx); err != nil {
		return err
	}
	return s.moveUnderLoad(ctx)
}

// share checks that 400 requests split 25/75 within the 99.9 % binomial interval.
func (s *Story) share(ctx context.Context) error {
	sum, err := s.load(ctx, "-count", fmt.Sprint(requests), "-rate", "200")
	if err != nil {
		return err
	}
	const p, z = 0.75, 3.2905 // two-sided 99.9 %
	mean, margin := requests*p, z*math.Sqrt(requests*p*(1-p))
	got := float64(sum.ByHeader[v2])
	if sum.Failed != 0 || sum.OK != requests || math.Abs(got-mean) > margin {
		return fmt.Errorf("%d requests: %d failed, %.0f answered by v2; want 0 and %.0f ± %.0f: %+v", requests, sum.Failed, got, mean, margin, sum)
	}
	s.ok("%d requests, %d failed, %.0f by v2 (%.1f %%; 99.9 %% interval %.0f ± %.0f)", requests, sum.Failed, got, 100*got/requests, mean, margin)
	return nil
}

// moveUnderLoad patches the split to 0/100 while requests flow, and checks that none fails and that all go to v2 after.
func (s *Story) moveUnderLoad(ctx context.Context) error {
	type result struct {
		sum summary
		err error
	}
	done := make(chan result, 1)
	go func() {
		sum, err := s.load(ctx, "-duration", "4s", "-rate", "200")
		done <- result{sum, err}
	}()
	time.Sleep(1500 * time.Millisecond)
	_, err := s.run(ctx, "kubectl", "patch", "trafficsplit", splitName, "-n", "bookstore", "--type=merge", "-p",
		`{"spec":{"backends":[{"service":"bookstore","weight":0},{"service":"bookstore-v2","weight":100}]}}`)
	r := <-done
	if err != nil || r.err != nil {
		return fmt.Errorf("patch under load: %w %w", err, r.err)
	}
	if r.sum.Failed != 0 {
		return fmt.Errorf("%d of %d requests failed while the split changed: %+v", r.sum.Failed, r.sum.Requests, r.sum)
	}
	s.ok("patched to 0/100 under load: %d requests, 0 failed", r.sum.Requests)
	after, err := s.load(ctx, "-count", "200", "-rate", "200")
	if err != nil {
		return err
	}
	if after.Failed != 0 || after.ByHeader[v2] != 200 {
		return fmt.Errorf("after 0/100 not every request goes to v2: %+v", after)
	}
	s.ok("after that every request goes to v2 (200 of 200)")
	return nil
}

func (s *Story) load(ctx context.Context, args ...string) (summary, error) {
	var sum summary
	out, err := s.prober(ctx, append([]string{"load", "-url", storeURL}, args...)...)
	if err != nil {
		return sum, err
	}
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		return sum, fmt.Errorf("osm-meshtest load printed %q: %w", out, err)
	}
	return sum, nil
}
