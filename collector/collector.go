package collector

import (
	"sync"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"litellm_budget_exporter/collector/budget"
)

// Collector exports the newest snapshot. It implements prometheus.Collector, holds no metric of its own and
// causes no reading: what is not in the snapshot is not exported, and what is unknown is absent.
type Collector struct {
	snapshot func() *budget.Snapshot

	mu       sync.Mutex
	limit    int
	of       weak.Pointer[budget.Snapshot] // the snapshot last collected, which is not kept alive by it
	selected selection
}

// selection is which entities of a snapshot get their own series, in the order of their ids.
type selection map[budget.Scope][]*budget.Entity

// New returns a collector of the snapshots that the function returns, which may be nil as long as there is none.
// At most limit entities of each scope get their own series.
func New(snapshot func() *budget.Snapshot, limit int) *Collector {
	return &Collector{snapshot: snapshot, limit: limit}
}

// SetLimit changes how many entities of each scope get their own series at most, from the next scrape on.
func (c *Collector) SetLimit(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = limit
	c.of = weak.Pointer[budget.Snapshot]{} // select anew
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range catalogue {
		if m.ofExporter() {
			continue
		}
		for _, d := range m.descs {
			ch <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	snapshot, selected := c.newest()
	if snapshot == nil {
		return
	}
	for _, s := range budget.Scopes {
		for _, e := range selected[s] {
			collectEntity(ch, e)
		}
		collectFleet(ch, snapshot, s, len(selected[s]))
	}
	collectDeployment(ch, snapshot)
	collectSources(ch, snapshot)
}

// newest takes the newest snapshot and selects from it, once however many scrapes it serves. The snapshot is
// taken under the lock, so that of two concurrent scrapes none goes back to an older one.
func (c *Collector) newest() (*budget.Snapshot, selection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshot()
	if s == nil || weak.Make(s) == c.of {
		return s, c.selected
	}
	next := selection{}
	for scope, all := range s.Entities {
		next[scope] = choose(all, c.selected[scope], c.limit)
	}
	c.of, c.selected = weak.Make(s), next
	return s, next
}

func collectEntity(ch chan<- prometheus.Metric, e *budget.Entity) {
	scope := e.ID.Scope
	id := spendReported.labelPairs(scope, e.ID.Value)
	send := func(m *metric, v budget.Optional[float64]) {
		if v.Known {
			ch <- &sample{desc: m.descs[scope], labels: id, value: v.Value}
		}
	}

	send(spendReported, e.Reported)
	send(spendEnforced, e.Enforced)
	send(spendDivergence, e.Divergence)
	send(divergenceTolerance, e.Tolerance)
	if e.Counter.State == budget.CounterPresent {
		send(redisSpend, budget.Some(e.Counter.Value))
		send(redisTTL, ttl(e.Counter.TTL))
	}
	send(maxBudget, e.Cap.Exact())
	send(budgetReset, unix(e.ResetAt))
	if e.LockJudged {
		send(falselyLocked, truth(e.Verdict == budget.FalselyLocked))
		send(bypassed, truth(e.Verdict == budget.Bypassed))
	}
	send(falselyLockedLast, unix(e.FalselyLockedLast))
	send(bypassedLast, unix(e.BypassedLast))
	if e.Cause != budget.NoCause {
		ch <- &sample{desc: divergenceCause.descs[scope], labels: divergenceCause.labelPairs(scope, e.ID.Value, string(e.Cause)), value: 1}
	}
	if !e.FirstAt.IsZero() {
		ch <- prometheus.MustNewConstMetricWithCreatedTimestamp(spendObserved.descs[scope], prometheus.CounterValue,
			e.Observed, e.FirstAt, validUTF8(e.ID.Value))
	}
	names := append([]string{e.ID.Value}, labelsOf[scope].values(e.Names)...)
	ch <- &sample{desc: info.descs[scope], labels: info.labelPairs(scope, names...), value: 1}

	for _, w := range e.Windows {
		collectWindow(ch, e.ID, w)
	}
}

func collectWindow(ch chan<- prometheus.Metric, id budget.ID, w budget.EntityWindow) {
	labels := windowEnforced.labelPairs(id.Scope, id.Value, w.Duration)
	send := func(m *metric, v budget.Optional[float64]) {
		if v.Known {
			ch <- &sample{desc: m.descs[id.Scope], labels: labels, value: v.Value}
		}
	}
	send(windowEnforced, w.Enforced)
	send(windowMaxBudget, w.MaxBudget)
	send(windowReset, unix(w.ResetAt))
}

// collectFleet exports what holds for all entities of one scope together, withSeries of which have their own.
func collectFleet(ch chan<- prometheus.Metric, s *budget.Snapshot, scope budget.Scope, withSeries int) {
	f, known := s.Fleets[scope]
	if !known {
		return
	}
	send := func(m *metric, v budget.Optional[float64]) { sendFleet(ch, m, v, string(scope)) }

	send(entities, count(f.Entities))
	send(entitiesWithoutSeries, count(len(s.Entities[scope])-withSeries))
	send(capUnknownEntities, count(f.CapUnknown))
	send(falselyLockedEntities, float(f.FalselyLocked))
	send(bypassedEntities, float(f.Bypassed))
	if f.Diverging != nil {
		for _, cause := range budget.Causes {
			sendFleet(ch, divergingEntities, count(f.Diverging[cause]), string(scope), string(cause))
		}
	}
	send(spendReportedSum, f.ReportedSum)
	send(spendEnforcedSum, f.EnforcedSum)
	send(divergenceMax, f.DivergenceMax)
	send(divergenceMin, f.DivergenceMin)
	send(countersPresent, float(f.CountersPresent))
	send(readingGapMax, duration(f.ReadingGapMax))

	// Without a Redis nothing is judged, and 0 would say that nothing happened.
	if _, judged := s.Sources[budget.Redis]; judged {
		send(falselyLockedEpisodes, float(budget.Some(f.Totals.FalselyLockedEpisodes)))
		send(falselyLockedSeconds, duration(budget.Some(f.Totals.FalselyLockedTime)))
		send(bypassedEpisodes, float(budget.Some(f.Totals.BypassedEpisodes)))
		send(bypassedSeconds, duration(budget.Some(f.Totals.BypassedTime)))
		send(unreadableCounters, float(budget.Some(f.Totals.UnreadableCounters)))
	}
}

// collectDeployment exports what belongs to the whole LiteLLM deployment.
func collectDeployment(ch chan<- prometheus.Metric, s *budget.Snapshot) {
	for buffer, length := range s.BufferLengths {
		sendFleet(ch, spendBufferLength, float(budget.Some(length)), buffer)
	}
	for cause, seen := range s.FleetCauses {
		sendFleet(ch, fleetCause, truth(seen), string(cause))
	}
	for scope, counts := range s.Refusals {
		for reported, n := range map[string]uint64{"below_cap": counts.BelowCap, "at_cap": counts.AtCap, "unknown": counts.Unknown} {
			sendFleet(ch, refusalsObserved, float(budget.Some(n)), string(scope), reported)
		}
	}
	sendFleet(ch, refusalsObserved, float(s.UnnamedRefusals), "unknown", "unknown")
	if s.Release.Version != "" {
		sendFleet(ch, litellmInfo, truth(true), s.Release.Version)
	}
	for _, cause := range budget.Causes {
		if affected := budget.Affected(s.Release.Version, cause); affected.Known {
			sendFleet(ch, releaseAffected, truth(affected.Value), string(cause))
		}
	}
}

// collectSources exports how the reading goes.
func collectSources(ch chan<- prometheus.Metric, s *budget.Snapshot) {
	for source, state := range s.Sources {
		if state.Up || state.Problem != "" { // else it was not tried yet
			sendFleet(ch, sourceUp, truth(state.Up), string(source))
		}
		sendFleet(ch, sourceLastSuccess, unix(state.LastSuccess), string(source))
	}
	sendFleet(ch, lastFullSweep, unix(s.LastFullSweep))
	sendFleet(ch, writeLag, duration(s.WriteLag))
}

func sendFleet(ch chan<- prometheus.Metric, m *metric, v budget.Optional[float64], labels ...string) {
	if v.Known {
		ch <- &sample{desc: m.descs[""], labels: m.labelPairs("", labels...), value: v.Value, counter: m.typ == counter}
	}
}

// sample is a series of fixed value. It does what client_golang's const metrics do; only that all series of an
// entity share one slice of labels, and that nothing is made before the registry asks for it.
type sample struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	value   float64
	counter bool
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(out *dto.Metric) error {
	out.Label = s.labels
	if s.counter {
		out.Counter = &dto.Counter{Value: &s.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// The following turn what the snapshot holds into the values of samples; what is unknown stays it.

func count(n int) budget.Optional[float64] { return budget.Some(float64(n)) }

func float[T int | int64 | uint64](n budget.Optional[T]) budget.Optional[float64] {
	return budget.Optional[float64]{Value: float64(n.Value), Known: n.Known}
}

func truth(b bool) budget.Optional[float64] {
	if b {
		return budget.Some(1.0)
	}
	return budget.Some(0.0)
}

func duration(d budget.Optional[time.Duration]) budget.Optional[float64] {
	return budget.Optional[float64]{Value: d.Value.Seconds(), Known: d.Known}
}

func ttl(d time.Duration) budget.Optional[float64] {
	if d == budget.NoExpiry {
		return budget.Some(-1.0)
	}
	return budget.Some(d.Seconds())
}

// unix keeps milliseconds: nanoseconds since 1970 would not hold the year 9999, which people use for "never".
func unix(t budget.Optional[time.Time]) budget.Optional[float64] {
	if !t.Known {
		return budget.Optional[float64]{}
	}
	return budget.Some(float64(t.Value.UnixMilli()) / 1e3)
}
