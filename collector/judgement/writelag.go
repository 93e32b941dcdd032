package judgement

import (
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	lagSamples   = 256 // newest samples that the percentile is taken of
	enoughLags   = 30  // samples before the write lag counts as measured
	longestProbe = 10 * time.Minute
)

// durations is what was measured of a duration that a deployment has.
type durations struct {
	samples []time.Duration
	next    int

	measured budget.Optional[time.Duration] // the 95th percentile, unknown while there are too few samples
	longest  time.Duration                  // of the samples
}

func (d *durations) add(sample time.Duration) {
	if len(d.samples) < lagSamples {
		d.samples = append(d.samples, sample)
	} else {
		d.samples[d.next] = sample
		d.next = (d.next + 1) % lagSamples
	}
	if n := len(d.samples); n >= enoughLags {
		sorted := slices.Sorted(slices.Values(d.samples))
		d.measured, d.longest = budget.Some(sorted[(n-1)*95/100]), sorted[n-1]
	}
}

// lagProbe measures how long LiteLLM takes to bring spend from the counter to the row: a sample is a counter that came
// to rest at a value, and the row seen at that value later; the reading intervals are not in it.
//
// It waits for the row of one entity to reach a value at which its counter came to rest.
type lagProbe struct {
	target float64
	restAt time.Time // first reading at the target
}

// counter takes in two successive readings of the counter: a probe begins where it moved and then stood still,
// so that hardly ever a reservation in flight is part of the target, and ends where that no longer holds.
func (p *lagProbe) counter(before, now budget.Counter, stirred bool) {
	switch {
	case now.State != budget.CounterPresent || before.State != budget.CounterPresent || now.Value < before.Value:
		*p = lagProbe{}
	case now.Value == before.Value && stirred && p.restAt.IsZero():
		*p = lagProbe{target: now.Value, restAt: before.ReadAt}
	}
}

// row takes in two successive readings of the row and returns a sample once the row has reached the target.
func (p *lagProbe) row(before, now *budget.Row) budget.Optional[time.Duration] {
	if p.restAt.IsZero() || !now.Spend.Known || !before.Spend.Known {
		return budget.Optional[time.Duration]{}
	}
	sample, noise := budget.Optional[time.Duration]{}, budget.Noise(p.target)
	switch {
	case now.Spend.Value < before.Spend.Value, now.ReadAt.Sub(p.restAt) > longestProbe:
	case now.Spend.Value < p.target-noise:
		return sample
	case before.Spend.Value < p.target-noise:
		sample = budget.Some(max(0, before.ReadAt.Sub(p.restAt)))
	case before.Spend.Value <= p.target+noise: // the row was there before the counter was seen to rest
		sample = budget.Some(time.Duration(0))
	}
	*p = lagProbe{}
	return sample
}
