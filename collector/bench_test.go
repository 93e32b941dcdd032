package collector

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"litellm_budget_exporter/collector/budget"
)

// keysOf makes a fleet of n keys of which everything is known: twelve series each.
func keysOf(n int) []*budget.Entity {
	keys := make([]*budget.Entity, n)
	for i := range keys {
		spend := float64(i%1000) / 7
		keys[i] = &budget.Entity{
			ID: budget.ID{Scope: budget.Key, Value: fmt.Sprintf("%064x", i)},
			Names: budget.Names{
				Alias: fmt.Sprintf("key-%d", i), TeamID: fmt.Sprintf("team-%d", i%100), TeamAlias: fmt.Sprintf("Team %d", i%100),
				UserID: fmt.Sprintf("user-%d", i%1000), OrgID: "org-1",
			},
			Reported: budget.Some(spend), Enforced: budget.Some(spend), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
			Counter: counterAt(spend, 42*time.Second), Cap: usdCap(200), ResetAt: budget.Some(now.Add(24 * time.Hour)),
			Verdict: budget.OK, LockJudged: true, Observed: spend, FirstAt: now.Add(-time.Hour),
		}
	}
	return keys
}

// The rivals export the same series in the two ways that are usual.

// simple is one of the gauges of a key.
type simple struct {
	metric *metric
	value  func(*budget.Entity) float64
}

var simples = []simple{
	{spendReported, func(e *budget.Entity) float64 { return e.Reported.Value }},
	{spendEnforced, func(e *budget.Entity) float64 { return e.Enforced.Value }},
	{spendDivergence, func(e *budget.Entity) float64 { return e.Divergence.Value }},
	{divergenceTolerance, func(e *budget.Entity) float64 { return e.Tolerance.Value }},
	{redisSpend, func(e *budget.Entity) float64 { return e.Counter.Value }},
	{redisTTL, func(e *budget.Entity) float64 { return e.Counter.TTL.Seconds() }},
	{maxBudget, func(e *budget.Entity) float64 { return e.Cap.Low }},
	{budgetReset, func(e *budget.Entity) float64 { return float64(e.ResetAt.Value.Unix()) }},
	{falselyLocked, func(*budget.Entity) float64 { return 0 }},
	{bypassed, func(*budget.Entity) float64 { return 0 }},
	{spendObserved, func(e *budget.Entity) float64 { return e.Observed }},
}

func infoOf(e *budget.Entity) []string {
	return append([]string{e.ID.Value}, labelsOf[budget.Key].values(e.Names)...)
}

// constMetrics makes a const metric of client_golang for every series in every scrape.
type constMetrics struct{ keys []*budget.Entity }

func (c constMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range simples {
		ch <- s.metric.descs[budget.Key]
	}
	ch <- info.descs[budget.Key]
}

func (c constMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, e := range c.keys {
		for _, s := range simples {
			typ := prometheus.GaugeValue
			if s.metric.typ == counter {
				typ = prometheus.CounterValue
			}
			//nolint:promlinter // a descriptor of the catalogue, which a test has promtool check
			ch <- prometheus.MustNewConstMetric(s.metric.descs[budget.Key], typ, s.value(e), e.ID.Value)
		}
		//nolint:promlinter // likewise
		ch <- prometheus.MustNewConstMetric(info.descs[budget.Key], prometheus.GaugeValue, 1, infoOf(e)...)
	}
}

// gaugeVecs keeps every series in a GaugeVec, emptied and filled with each snapshot so that vanished keys vanish.
type gaugeVecs struct {
	keys []*budget.Entity
	vecs []*prometheus.GaugeVec // in the order of simples
	info *prometheus.GaugeVec
}

func newGaugeVecs(keys []*budget.Entity) *gaugeVecs {
	g := &gaugeVecs{keys: keys}
	vec := func(m *metric) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts(m.opts(budget.Key)), m.labelNames(budget.Key))
	}
	for _, s := range simples {
		g.vecs = append(g.vecs, vec(s.metric))
	}
	g.info = vec(info)
	return g
}

func (g *gaugeVecs) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range append(g.vecs, g.info) {
		v.Describe(ch)
	}
}

func (g *gaugeVecs) Collect(ch chan<- prometheus.Metric) {
	for _, v := range append(g.vecs, g.info) {
		v.Reset()
	}
	for _, e := range g.keys {
		for i, s := range simples {
			g.vecs[i].WithLabelValues(e.ID.Value).Set(s.value(e))
		}
		g.info.WithLabelValues(infoOf(e)...).Set(1)
	}
	for _, v := range append(g.vecs, g.info) {
		v.Collect(ch)
	}
}

// ours is the collector with a new snapshot for every scrape.
func ours(keys []*budget.Entity, limit int) prometheus.Collector {
	return New(func() *budget.Snapshot {
		return &budget.Snapshot{Entities: map[budget.Scope][]*budget.Entity{budget.Key: keys}}
	}, limit)
}

// gather is one collection; with a writer, the text exposition as well.
func gather(b *testing.B, reg *prometheus.Registry, w io.Writer) (series int) {
	b.Helper()
	families, err := reg.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		series += len(f.GetMetric())
		if w == nil {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			b.Fatal(err)
		}
	}
	return series
}

// rounds is how often each contestant runs; its fastest round counts, the others were disturbed.
const rounds = 3

// BenchmarkScrape measures collection alone (gather) and with the text exposition (expose), and how many times as
// long the rivals take for the same series in the same run.
func BenchmarkScrape(b *testing.B) {
	for _, stage := range []struct {
		name string
		to   io.Writer
	}{{"gather", nil}, {"expose", io.Discard}} {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/keys=%d", stage.name, n), func(b *testing.B) {
				keys := keysOf(n)
				contestants := []struct {
					name      string
					collector prometheus.Collector
					fastest   time.Duration
				}{
					{"ours", ours(keys, n), math.MaxInt64},
					{"constmetrics", constMetrics{keys}, math.MaxInt64},
					{"gaugevecs", newGaugeVecs(keys), math.MaxInt64},
				}
				for range rounds * b.N {
					for i := range contestants {
						c := &contestants[i]
						reg := prometheus.NewRegistry()
						reg.MustRegister(c.collector)
						runtime.GC()
						start := time.Now()
						series := gather(b, reg, stage.to)
						c.fastest = min(c.fastest, time.Since(start))
						if series != 12*n {
							b.Fatalf("%s has %d series, not %d", c.name, series, 12*n)
						}
					}
				}
				fastest := contestants[0].fastest
				b.ReportMetric(float64(fastest.Nanoseconds()), "ns/op")
				b.ReportMetric(float64(fastest.Nanoseconds())/float64(12*n), "ns/series")
				for _, rival := range contestants[1:] {
					b.ReportMetric(rival.fastest.Seconds()/fastest.Seconds(), "x_vs_"+rival.name)
				}
			})
		}
	}
}

// BenchmarkChoice measures the selection among a million keys, once without and once with series to keep.
func BenchmarkChoice(b *testing.B) {
	keys := keysOf(1_000_000)
	b.ResetTimer()
	var had []*budget.Entity
	for range b.N {
		had = choose(keys, had, 10_000)
	}
}
