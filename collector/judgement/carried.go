package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// carried is what was spent before a reset or an edit and is written to the row after it. LiteLLM sets the row and the
// counter to 0 and then brings what was on its way to the row: the counter knows nothing of it until it is seeded anew.
type carried struct {
	usd   float64   // at most
	until time.Time // all of it is written then; zero once it is known how much it was
	seen  float64   // USD by which the row was ahead of the counter meanwhile
}

// carriedOver is what can be written after a row fell, as told by how fast it rose before.
func (j *Judge) carriedOver(t *Track, before, now *budget.Row) carried {
	if t.motion == nil || t.counter.State != budget.CounterPresent {
		return carried{}
	}
	unread := j.unwrittenFor() + j.params.CounterInterval
	return carried{usd: t.motion.rowRate(before.ReadAt) * unread.Seconds(), until: now.ReadAt.Add(unread)}
}

// observe takes in by how much the row is ahead until all is written: it was no more than that.
func (c *carried) observe(t *Track, at time.Time) {
	if c.until.IsZero() || t.counter.State != budget.CounterPresent || !t.row.Spend.Known {
		return
	}
	c.seen = max(c.seen, t.row.Spend.Value-t.counter.Value)
	if at.After(c.until) {
		c.usd, c.until = min(c.usd, c.seen), time.Time{}
	}
}
