package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// shortestStall is the least time for which rows must stand still: twice the slowest flush that is usual.
	shortestStall = 2 * time.Minute
	// stalledEntities is how many entities must spend meanwhile: one alone may be a request that takes long.
	stalledEntities = 2
)

// flush watches whether rows stand still, although they are read, while the counters of several entities go on rising:
// then LiteLLM does not bring spend to the database (its failure mode is told in BerriAI/litellm #33872).
type flush struct {
	epoch    uint32    // begins anew with every rise of a row
	since    time.Time // the first rise of a counter in this epoch
	unmoved  time.Time // the last reading of a row of an entity that spent in this epoch
	spenders int       // entities whose counter went on rising
}

// spender is when the counter of an entity began to rise in an epoch.
type spender struct {
	epoch   uint32
	since   time.Time
	counted bool
}

// row takes in two successive readings of the row of an entity.
func (f *flush) row(t *Track, before, now *budget.Row) {
	switch {
	case reportedRose(before, now):
		*f = flush{epoch: f.epoch + 1}
	case t.motion != nil && t.motion.spender.epoch == f.epoch && !f.since.IsZero():
		f.unmoved = now.ReadAt
	}
}

// counter takes in two successive readings of the counter of an entity that moves.
func (f *flush) counter(t *Track, before, now budget.Counter) {
	if t.motion == nil || before.State != budget.CounterPresent || now.State != budget.CounterPresent || now.Value <= before.Value {
		return
	}
	s := &t.motion.spender
	if f.since.IsZero() {
		f.since = now.ReadAt
	}
	if s.epoch != f.epoch || s.since.IsZero() {
		*s = spender{epoch: f.epoch, since: now.ReadAt}
	}
	if !s.counted && now.ReadAt.Sub(s.since) >= shortestStall/2 {
		s.counted = true
		f.spenders++
	}
}

// suspected says that several entities went on spending while no row moved: a standstill, or not yet the time to write.
func (f *flush) suspected() bool { return f.spenders >= stalledEntities }

// stalled says that the flush has been at a standstill for long enough to be told.
func (f *flush) stalled(now time.Time, unwrittenFor time.Duration) bool {
	least := max(shortestStall, unwrittenFor)
	return f.suspected() && now.Sub(f.since) >= least && f.unmoved.Sub(f.since) >= least
}

// evidence is what tells of a standstill.
func (f *flush) evidence(now time.Time) []budget.Evidence {
	return []budget.Evidence{
		{Name: "rows_unmoved_seconds", Value: now.Sub(f.since).Seconds()},
		{Name: "spending_entities", Value: float64(f.spenders)},
	}
}
