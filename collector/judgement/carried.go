package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// carried is what was spent before a reset or an edit and is written to the row after it. LiteLLM sets the row and the
// counter to 0 and then brings what was on its way to the row: the counter knows nothing of it until it is seeded anew.
// New spend and reservations hide it until the traffic slows down.
type carried struct {
	usd   float64   // at most
	until time.Time // all of it is written then
}

// carriedOver is what can be written after a row fell.
func (j *Judge) carriedOver(t *Track, before, now *budget.Row) carried {
	if t.motion == nil || t.counter.State != budget.CounterPresent {
		return carried{}
	}
	rate := t.motion.rowRate(before.ReadAt)
	ahead := t.motion.ahead + t.carried.usd                  // what the reset before carried over hid as much
	unwritten := min(ahead, rate*j.unwrittenFor().Seconds()) // it is ahead by reservations, too
	unread := rate * j.params.CounterInterval.Seconds()
	return carried{usd: unwritten + unread, until: now.ReadAt.Add(j.unwrittenFor() + j.params.CounterInterval)}
}

// observeCarried takes in how far a counter is ahead of its row. Once all is written, what was carried over is no more than
// the row is ahead by and what of it new spend and reservations can hide.
func (j *Judge) observeCarried(t *Track, at time.Time) {
	if t.motion == nil || t.counter.State != budget.CounterPresent || !t.row.Spend.Known {
		return
	}
	ahead := t.counter.Value - t.row.Spend.Value
	if ahead >= 0 {
		t.motion.ahead = ahead
	}
	if t.carried.usd > 0 && at.After(t.carried.until) {
		hidden := j.params.ToleranceUSD + t.motion.lifted(at, j.liftFor()) + j.usualReservations(t, at)
		t.carried.usd = min(t.carried.usd, max(0, hidden-ahead))
	}
}
