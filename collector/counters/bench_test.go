package counters_test

import (
	"context"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
)

// BenchmarkRead10000 reads 10 000 counters. In the same run it reads them once the plain way, GET and PTTL each a
// round trip of its own, and reports how many times faster a Read is (plain/read).
func BenchmarkRead10000(b *testing.B) {
	s := redistest.Standalone(b)
	names := fill(b, s, 10_000)
	r := open(b, s.Addr, nil)
	read(b, r, names[0]) // connect before the clock runs

	plain := s.Client(b)
	start := time.Now()
	for _, name := range names {
		if err := plain.Get(context.Background(), name).Err(); err != nil {
			b.Fatal(err)
		}
		if err := plain.PTTL(context.Background(), name).Err(); err != nil {
			b.Fatal(err)
		}
	}
	oneByOne := time.Since(start)

	for b.Loop() {
		read(b, r, names...)
	}
	perRead := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(oneByOne)/float64(perRead), "plain/read")
}
