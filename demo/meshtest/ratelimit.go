package meshtest

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// runRateLimit serves Envoy's rate limit API. Of each descriptor it lets -limit hits pass in every period of -per.
func runRateLimit(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("ratelimit", flag.ContinueOnError)
	ports := fs.String("ports", "8081", "ports to serve, separated by commas")
	address := fs.String("address", "", "address to serve on; empty means all")
	limit := fs.Uint("limit", 1, "hits of a descriptor that pass in a period")
	per := fs.Duration("per", time.Minute, "the period")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	s := &rateLimiter{limit: uint32(min(*limit, 1<<31)), per: *per, counts: map[string]count{}, say: func(line string) {
		_, _ = fmt.Fprintln(env.Stdout, line)
	}}
	return listenAll(ctx, env, *address, *ports, func(ctx context.Context, ln net.Listener) error {
		srv := grpc.NewServer()
		rlsv3.RegisterRateLimitServiceServer(srv, s)
		context.AfterFunc(ctx, srv.GracefulStop)
		return srv.Serve(ln)
	})
}

type count struct {
	period time.Time
	hits   uint32
}

type rateLimiter struct {
	rlsv3.UnimplementedRateLimitServiceServer
	limit uint32
	per   time.Duration
	say   func(line string)

	mu     sync.Mutex
	counts map[string]count
}

// ShouldRateLimit counts every descriptor of a question; one over the limit is enough to refuse.
func (s *rateLimiter) ShouldRateLimit(_ context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}
	for _, d := range req.Descriptors {
		key := req.Domain + ":" + descriptorText(d)
		c := s.counts[key]
		if now := time.Now().Truncate(s.per); !c.period.Equal(now) {
			c = count{period: now}
		}
		c.hits += max(req.HitsAddend, 1)
		s.counts[key] = c
		one := &rlsv3.RateLimitResponse_DescriptorStatus{
			Code: rlsv3.RateLimitResponse_OK, LimitRemaining: s.limit - min(c.hits, s.limit),
			CurrentLimit:       &rlsv3.RateLimitResponse_RateLimit{RequestsPerUnit: s.limit, Unit: rlsv3.RateLimitResponse_RateLimit_SECOND},
			DurationUntilReset: durationpb.New(time.Until(c.period.Add(s.per))),
		}
		if c.hits > s.limit {
			one.Code, out.OverallCode = rlsv3.RateLimitResponse_OVER_LIMIT, rlsv3.RateLimitResponse_OVER_LIMIT
		}
		out.Statuses = append(out.Statuses, one)
		s.say(fmt.Sprintf("%s %s", one.Code, key))
	}
	return out, nil
}

func descriptorText(d *ratelimitv3.RateLimitDescriptor) string {
	parts := make([]string, 0, len(d.Entries))
	for _, e := range d.Entries {
		parts = append(parts, e.Key+"="+e.Value)
	}
	return strings.Join(parts, ",")
}
