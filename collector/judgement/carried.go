package judgement

import "litellm_budget_exporter/collector/budget"

// carriedOver is what was spent before a reset or an edit and is written to the row after it, at most (USD). LiteLLM sets
// the row and the counter to 0 and then brings what was on its way to the row: the counter knows nothing of it until it is
// seeded anew. New spend and reservations hide it until the traffic slows down.
func (j *Judge) carriedOver(t *Track, before *budget.Row) float64 {
	if t.motion == nil || t.counter.State != budget.CounterPresent {
		return 0
	}
	rate := t.motion.rowRate(before.ReadAt)
	ahead := t.motion.ahead + t.carried                      // what the reset before carried over hid as much
	unwritten := min(ahead, rate*j.unwrittenFor().Seconds()) // it is ahead by reservations, too
	unread := rate * j.params.CounterInterval.Seconds()
	return unwritten + unread
}
