package judgement

import "litellm_budget_exporter/collector/budget"

// carriedOver is how much of what was spent before a reset can be written after it (USD). LiteLLM sets the row and the
// counter to 0 and then brings what was on its way to the row: the counter knows nothing of it until it is seeded anew.
func (j *Judge) carriedOver(t *Track, before *budget.Row) float64 {
	if t.motion == nil || t.counter.State != budget.CounterPresent {
		return 0
	}
	interval := j.params.CounterInterval
	ahead := max(0, t.counter.Value-before.Spend.Value) + t.motion.burnRate(before.ReadAt)*(j.writeLag()+interval).Seconds()
	return min(ahead, t.motion.rowRate(before.ReadAt)*(j.unwrittenFor()+interval).Seconds())
}
