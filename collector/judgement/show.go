package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
)

// show makes the entity's view anew.
func (j *Judge) show(t *Track, a assessment, now time.Time) {
	r := t.row
	for _, last := range []*time.Time{&t.lockedLast, &t.bypassedLast} {
		if now.Sub(*last) > lastShownFor {
			*last = time.Time{}
		}
	}
	e := &budget.Entity{
		ID:                r.ID,
		Names:             r.Names,
		Reported:          r.Spend,
		ReportedAt:        r.ReadAt,
		Counter:           t.counter,
		Enforced:          a.enforced,
		Tolerance:         t.toleranceInForce(a),
		Cap:               a.cap,
		ResetAt:           j.resetOf(r),
		Windows:           showWindows(r.Windows, t.windows),
		LockJudged:        a.judged && a.cap.State == budget.CapKnown && !a.doubtful && t.everJudged,
		FalselyLockedLast: knownTime(t.lockedLast),
		BypassedLast:      knownTime(t.bypassedLast),
		Observed:          t.observed,
		FirstAt:           t.firstAt,
	}
	if r.Spend.Known && a.enforced.Known {
		e.Divergence = budget.Some(a.enforced.Value - r.Spend.Value)
	}
	switch {
	case t.lock != budget.NotJudged:
		e.Verdict = t.lock
	case t.lasting || t.odd:
		e.Verdict = budget.Diverging
	case a.judged && !a.doubtful && t.everJudged:
		e.Verdict = budget.OK
	}
	if e.Verdict != budget.OK && e.Verdict != budget.NotJudged {
		e.Cause, e.Confidence, e.Evidence = cause.Classify(j.facts(t, a, now))
	}
	if a.judged {
		e.Suspected = t.suspected()
	}
	t.entity = e
	if t.history != nil {
		t.history.Holds(now, t.terms())
	}
}

// toleranceInForce is by how much the two can be apart now for the verdict that the entity has, or is suspected of; unknown
// where a spend is.
func (t *Track) toleranceInForce(a assessment) budget.Optional[float64] {
	switch {
	case !a.tolerance.Known, a.apparent, a.shows(t.lock), t.suspicion != nil:
		return a.tolerance
	case t.lasting:
		return budget.Some(a.endsAt)
	}
	return budget.Some(max(a.entersAbove, t.strange, t.stands))
}

// facts is what the cause of a divergence is told from.
func (j *Judge) facts(t *Track, a assessment, now time.Time) cause.Facts {
	f := cause.Facts{
		Now: now, Release: j.release, Scope: t.row.ID.Scope,
		Reported: t.row.Spend.Value, Enforced: a.enforced.Value, Tolerance: a.tolerance.Value,
		Counter: t.counter, Cap: a.cap, Immortal: t.immortal,
		RowsStandStill: j.flush.suspected(), History: t.history,
	}
	if a.pinned && !t.pinnedSince.IsZero() { // by a cap that changed it can be without a reading that showed it
		f.PinnedFor = budget.Some(now.Sub(t.pinnedSince))
	}
	if t.history != nil {
		if j.FlushStalled(now) {
			t.history.Stalled()
		}
		if cycle := j.falls.around(t.history.FallenAt()); cycle.counted > 0 {
			t.history.FleetFell(cycle.fell, cycle.counted)
		}
	}
	return f
}

// showWindows joins the windows of a row with the readings of their counters. The reported spend of a window is
// in no API, so a cold one is unknown.
func showWindows(windows []budget.Window, counters []budget.Counter) []budget.EntityWindow {
	if len(windows) == 0 {
		return nil
	}
	shown := make([]budget.EntityWindow, len(windows))
	for i, w := range windows {
		shown[i] = budget.EntityWindow{Duration: w.Duration, MaxBudget: w.MaxBudget, ResetAt: w.ResetAt}
		if len(counters) == len(windows) && counters[i].State == budget.CounterPresent {
			shown[i].Enforced = budget.Some(counters[i].Value)
		}
	}
	return shown
}

func knownTime(t time.Time) budget.Optional[time.Time] {
	if t.IsZero() {
		return budget.Optional[time.Time]{}
	}
	return budget.Some(t)
}
