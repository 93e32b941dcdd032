package judgement

import (
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	lagSamples   = 256 // newest samples that the percentile is taken of
	enoughLags   = 20  // samples before the write lag counts as measured
	longestProbe = 10 * time.Minute
)

// writeLag measures how long LiteLLM takes to bring spend from the counter to the row. A sample is a counter
// that came to rest at a value, and the row seen at that value later; the reading intervals are not in it.
type writeLag struct {
	samples []time.Duration
	next    int
}

func (l *writeLag) add(d time.Duration) {
	if len(l.samples) < lagSamples {
		l.samples = append(l.samples, d)
		return
	}
	l.samples[l.next] = d
	l.next = (l.next + 1) % lagSamples
}

// measured is the 95th percentile, unknown while there are too few samples.
func (l *writeLag) measured() budget.Optional[time.Duration] {
	if len(l.samples) < enoughLags {
		return budget.Optional[time.Duration]{}
	}
	sorted := slices.Sorted(slices.Values(l.samples))
	return budget.Some(sorted[(len(sorted)-1)*95/100])
}

// lagProbe waits for the row of one entity to reach a value at which its counter came to rest.
type lagProbe struct {
	target float64
	restAt time.Time // first reading at the target
}

// counter takes in two successive readings of the counter: a probe begins where it rose and then stood still,
// so that no reservation in flight is part of the target, and ends where that no longer holds.
func (p *lagProbe) counter(before, now budget.Counter, rose bool) {
	switch {
	case now.State != budget.CounterPresent || before.State != budget.CounterPresent || now.Value < before.Value:
		*p = lagProbe{}
	case now.Value == before.Value && rose && p.restAt.IsZero():
		*p = lagProbe{target: now.Value, restAt: before.ReadAt}
	}
}

// row takes in two successive readings of the row and returns a sample once the row has reached the target.
func (p *lagProbe) row(before, now *budget.Row) budget.Optional[time.Duration] {
	if p.restAt.IsZero() || !now.Spend.Known || !before.Spend.Known {
		return budget.Optional[time.Duration]{}
	}
	sample := budget.Optional[time.Duration]{}
	switch {
	case now.Spend.Value < before.Spend.Value, now.ReadAt.Sub(p.restAt) > longestProbe:
	case now.Spend.Value < p.target-budget.Noise(p.target):
		return sample
	case before.Spend.Value < p.target-budget.Noise(p.target):
		sample = budget.Some(max(0, before.ReadAt.Sub(p.restAt)))
	}
	*p = lagProbe{}
	return sample
}
