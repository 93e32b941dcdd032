// Package judgement decides what the two numbers of an entity say: whether it is falsely locked, bypassed or
// diverging. It is pure: no I/O and no clock of its own; readings come in one by one, each with its time, and the
// view of the entity comes out.
package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
)

// Params are the settings of judgement.
type Params struct {
	ToleranceUSD    float64       // floor of the tolerance
	ToleranceRatio  float64       // fraction of spend below which nothing is called diverging
	WriteLag        time.Duration // assumed until measured, and never taken for less
	CounterInterval time.Duration // the longest gap between the two readings of a pair that gives a verdict
}

// unmeasuredLags is for how many assumed write lags a divergence can be spend not yet written, until the
// write lag is measured: LiteLLM's flush interval is not in any API.
const unmeasuredLags = 5

// Judge holds what all entities share: the release in use, linked budgets, the measured write lag and the
// totals. Its methods are not safe for concurrent use.
type Judge struct {
	params   Params
	release  budget.Release
	budgets  map[string]budget.LinkedBudget
	entering bool
	lag      durations
	behind   durations // by how long rows are behind the counters of entities that are well when they move, reservations included
	flight   durations // by how many seconds of its spend an entity that is well is ahead of its row, reservations included
	falls    falls
	flush    flush
	totals   map[budget.Scope]*budget.ScopeTotals
}

// New returns a judge that knows no release and no linked budget yet, and lets entities enter verdicts.
func New(p Params) *Judge {
	j := &Judge{release: budget.ReleaseOf(""), entering: true, totals: map[budget.Scope]*budget.ScopeTotals{}}
	j.SetParams(p)
	for _, s := range budget.Scopes {
		j.totals[s] = &budget.ScopeTotals{}
	}
	return j
}

// SetParams replaces the settings; tracks keep their history.
func (j *Judge) SetParams(p Params) {
	j.params = p
	j.falls.length = p.CounterInterval * 3 / 4 // less than the jitter takes from an interval
}

// SetRelease sets the release whose rules hold from the next observation on.
func (j *Judge) SetRelease(r budget.Release) { j.release = r }

// SetBudgets replaces the list of budgets that entities can be linked to; nil if it cannot be read.
func (j *Judge) SetBudgets(budgets map[string]budget.LinkedBudget) { j.budgets = budgets }

// SetEntering allows or forbids entering a verdict: while a source fails nobody enters one.
func (j *Judge) SetEntering(allowed bool) { j.entering = allowed }

// Totals returns what was counted of a scope since start.
func (j *Judge) Totals(s budget.Scope) budget.ScopeTotals { return *j.totals[s] }

// WriteLag is the measured write lag, unknown until measured.
func (j *Judge) WriteLag() budget.Optional[time.Duration] { return j.lag.measured }

// FlushStalled says that LiteLLM does not bring spend to the database: rows stand still while counters rise.
func (j *Judge) FlushStalled(now time.Time) bool { return j.flush.stalled(now, j.unwrittenFor()) }

// FlushEvidence is the numbers that speak for a stalled flush, while it is.
func (j *Judge) FlushEvidence(now time.Time) []budget.Evidence { return j.flush.evidence(now) }

// writeLag is the write lag in force: as measured, but never less than assumed.
func (j *Judge) writeLag() time.Duration {
	return max(j.params.WriteLag, j.lag.measured.Value)
}

// unwrittenFor is for how long spend can be in the counter only. The measured write lag is what most spend takes, less
// the reading intervals; here it is what any may take, with them.
func (j *Judge) unwrittenFor() time.Duration {
	unmeasured := unmeasuredLags * j.params.WriteLag
	if !j.lag.measured.Known {
		return unmeasured
	}
	return max(j.writeLag(), min(j.lag.longest+j.params.CounterInterval, unmeasured))
}

// behindFor is by how long the row of an entity that goes on spending can be behind its counter. Of several workers each
// brings its own part to the row: single spend can take longer.
func (j *Judge) behindFor() time.Duration { return min(j.behindAtMost(), j.unwrittenFor()) }

// behindAtMost is by how long such a row can be behind, with what requests in flight have reserved.
func (j *Judge) behindAtMost() time.Duration {
	if !j.behind.measured.Known {
		return j.unwrittenFor()
	}
	return max(j.writeLag(), min(j.behind.measured.Value+j.params.CounterInterval, divergingAtMost))
}

// Row takes in a reading of the entity's row and judges it with the counter last read. A row older than the
// one last taken in is ignored.
func (j *Judge) Row(t *Track, r *budget.Row) {
	before := t.row
	if before != nil && r.ReadAt.Before(before.ReadAt) {
		return
	}
	t.row = r
	if before == nil {
		t.firstAt = r.ReadAt
	} else {
		t.observed += observedRise(before, r)
		if before.Spend.Known && r.Spend.Known && r.Spend.Value < before.Spend.Value {
			t.usual.forsake(false)
			t.divergingSince = time.Time{} // what is between the two after a reset or an edit is another divergence
			t.carried = j.carriedOver(t, before, r)
		}
		if t.motion != nil && t.counter.State == budget.CounterPresent && reportedRose(before, r) && t.lock == budget.NotJudged && !t.lasting {
			if d := t.motion.behind(before.Spend.Value, t.counter.Value, before.ReadAt); d.Known {
				j.behind.add(d.Value)
			}
		}
		if t.broughtUp(before, r) {
			t.divergingSince = time.Time{}
		}
		if t.motion != nil || before.Spend != r.Spend {
			t.moving().rowMoved(before, r, j.unwrittenFor())
		}
		if sample := t.probe.row(before, r); sample.Known {
			j.lag.add(sample.Value)
		}
		if reportedRose(before, r) {
			t.pinnedSince = time.Time{}
		}
		if t.history != nil || before.Spend != r.Spend {
			t.remembering(before, t.counter).Row(before, r, t.entity.ResetAt, j.resetOf(r), t.counter)
		}
		j.flush.row(t, before, r)
	}
	j.settleExpiredLock(t)
	j.judge(t)
}

// Counter takes in a reading of the entity's counter, and of its windows' counters in the order of the
// row's windows, and judges it with the row last read. A reading of state CounterUnread changes nothing; one older than
// the one last taken in, which two loops that read the same counter can bring, is ignored.
func (j *Judge) Counter(t *Track, c budget.Counter, windows []budget.Counter) {
	before := t.counter
	if c.State == budget.CounterUnread || c.ReadAt.Before(before.ReadAt) {
		return
	}
	if before.State == budget.CounterUnread {
		t.firstCountAt = c.ReadAt
	}
	t.counter = c
	t.windows = windows
	changed := before.State != c.State || before.Value != c.Value
	firstSightOfNone := before.State == budget.CounterUnread && c.State == budget.CounterAbsent
	if changed && !firstSightOfNone {
		t.counterMovedAt = c.ReadAt
	}
	t.immortal = c.State == budget.CounterPresent && c.TTL == budget.NoExpiry && before.State == budget.CounterPresent && before.TTL == budget.NoExpiry
	if t.row == nil || (!changed && c.State == budget.CounterAbsent && t.settled()) {
		return
	}
	if t.motion != nil || (changed && c.State == budget.CounterPresent && before.State != budget.CounterUnread) {
		m := t.moving()
		if changed && before.ReadAt.Equal(t.firstCountAt) {
			m.met(before, t.row.Spend)
		}
		m.counterMoved(before, c, t.row.Spend, max(j.liftFor(), j.unwrittenFor()))
	}
	if t.history != nil || (changed && before.State != budget.CounterUnread) {
		j.falls.count(c.ReadAt)
		j.falls.fell(t.remembering(t.row, before).Counter(before, c, t.row))
	}
	j.flush.counter(t, before, c)
	if before.State == budget.CounterPresent && c.Value != before.Value && ranOut(before, c) {
		t.usual.forsake(true)
	}
	if c.State == budget.CounterAbsent || before.State == budget.CounterPresent && ranOut(before, c) {
		t.carried = carried{} // it is seeded with it, or may have been
	}
	t.probe.counter(before, c, t.stirred)
	t.stirred = before.State == budget.CounterPresent && c.State == budget.CounterPresent && c.Value != before.Value
	t.guard.observe(before, c, t.row.Spend, j.capOf(t.row, c.ReadAt))
	j.judge(t)
}

// Refresh judges the last readings again, for what depends on the time alone (an expiry) or on what the judge
// was told since (a budget, the release). It is no reading: a verdict can end by it, but nobody enters one.
func (j *Judge) Refresh(t *Track, now time.Time) {
	if t.row == nil {
		return
	}
	a := j.weigh(t, now)
	t.endWhatNoLongerShows(a)
	j.show(t, a, now)
}

// judge decides the verdict after a reading, counts it, and makes the entity's view anew. The time is that of the later
// reading of the two: a row can come to be known after a counter that was read later, and time must not run backwards.
func (j *Judge) judge(t *Track) {
	at := t.row.ReadAt
	if t.counter.ReadAt.After(at) {
		at = t.counter.ReadAt
	}
	t.rest(at)
	a := j.weigh(t, at)
	if t.motion != nil && a.enforced.Known {
		t.motion.aheadBy(a.enforced.Value - t.row.Spend.Value)
	}
	j.observeCarried(t, at)
	t.endWhatNoLongerShows(a)
	j.decideLock(t, a, at)
	j.decideDivergence(t, a, at)
	j.remember(t, a, at)
	j.learn(t, a, at)
	if t.motion != nil && t.motion.idle(at, j.unwrittenFor()) {
		t.motion = nil
	}
	j.show(t, a, at)
}

// remember begins the history of an entity that diverges, and ends that of one that has not moved for long and does
// not.
func (j *Judge) remember(t *Track, a assessment, at time.Time) {
	if t.history == nil && t.Watched() && t.counter.State != budget.CounterUnread {
		t.history = cause.Begin(t.row, t.counter, true)
		j.falls.count(at)
		j.falls.fell(t.history.FallenAt())
	}
	if t.history == nil {
		return
	}
	if a.agrees {
		t.history.Agrees(at)
	}
	if t.history.Idle(at) && !t.Watched() {
		t.history = nil
	}
}

func observedRise(before, now *budget.Row) float64 {
	if before.TotalSpend.Known && now.TotalSpend.Known {
		return max(0, now.TotalSpend.Value-before.TotalSpend.Value)
	}
	if before.Spend.Known && now.Spend.Known {
		return max(0, now.Spend.Value-before.Spend.Value)
	}
	return 0
}

func reportedRose(before, now *budget.Row) bool {
	return before.Spend.Known && now.Spend.Known && now.Spend.Value > before.Spend.Value
}
