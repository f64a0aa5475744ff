package meshtest

import (
	"math"
	"time"
)

// histogram keeps latencies in buckets 1 % apart, so its size does not grow
// with the number of requests. The zero value is ready.
type histogram struct {
	buckets [2600]int64
	count   int64
	max     time.Duration
}

// growth is the ratio of neighbouring bucket bounds; 2,600 buckets of it
// reach from 1 µs beyond a day.
const growth = 1.01

func (h *histogram) add(d time.Duration) {
	i := 0
	if d > time.Microsecond {
		i = int(math.Log(float64(d)/float64(time.Microsecond)) / math.Log(growth))
	}
	h.buckets[min(i, len(h.buckets)-1)]++
	h.count++
	h.max = max(h.max, d)
}

// quantile is the latency that a share q of all stays at or below, at most
// 1 % too high; 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	want := int64(math.Ceil(q * float64(h.count)))
	var seen int64
	for i, n := range h.buckets {
		seen += n
		if n > 0 && seen >= want {
			upper := time.Duration(math.Pow(growth, float64(i+1)) * float64(time.Microsecond))
			return min(upper, h.max)
		}
	}
	return h.max
}
