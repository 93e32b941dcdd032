package counters_test

import (
	"context"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
)

// fill stores so many counters, the i-th with the value i/4, and returns their names.
func fill(tb testing.TB, s *redistest.Server, n int) []string {
	tb.Helper()
	names := make([]string, n)
	pipe := s.Client(tb).Pipeline()
	for i := range names {
		names[i] = "spend:key:" + strconv.Itoa(i)
		pipe.Set(context.Background(), names[i], float64(i)/4, time.Hour)
		if pipe.Len() < 1000 && i < n-1 { // few enough to be answered in time on a busy machine, too
			continue
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			tb.Fatal(err)
		}
	}
	return names
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statMicroseconds is how long one run of a command took on average, by INFO commandstats; NaN if it never ran.
func statMicroseconds(tb testing.TB, stats, command string) float64 {
	tb.Helper()
	m := regexp.MustCompile(`cmdstat_` + regexp.QuoteMeta(command) + `:.*usec_per_call=([\d.]+)`).FindStringSubmatch(stats)
	if m == nil {
		return math.NaN()
	}
	us, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return us
}
