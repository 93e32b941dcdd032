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
func fill(t testing.TB, s *redistest.Server, n int) []string {
	t.Helper()
	names := make([]string, n)
	pipe := s.Client(t).Pipeline()
	for i := range names {
		names[i] = "spend:key:" + strconv.Itoa(i)
		pipe.Set(context.Background(), names[i], float64(i)/4, time.Hour)
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
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

// statCalls is how often a command ran, by INFO commandstats.
func statCalls(stats, command string) int {
	m := regexp.MustCompile(`cmdstat_` + regexp.QuoteMeta(command) + `:calls=(\d+)`).FindStringSubmatch(stats)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return n
}

// statMicroseconds is how long one run of a command took on average, by INFO commandstats; NaN if it never ran.
func statMicroseconds(t testing.TB, stats, command string) float64 {
	t.Helper()
	m := regexp.MustCompile(`cmdstat_` + regexp.QuoteMeta(command) + `:.*usec_per_call=([\d.]+)`).FindStringSubmatch(stats)
	if m == nil {
		return math.NaN()
	}
	us, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return us
}
