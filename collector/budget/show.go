package budget

import "time"

// show makes the entity's view anew.
func (j *Judge) show(t *Track, a assessment, now time.Time) {
	r := t.row
	for _, last := range []*time.Time{&t.lockedLast, &t.bypassedLast} {
		if now.Sub(*last) > lastShownFor {
			*last = time.Time{}
		}
	}
	e := &Entity{
		ID:                r.ID,
		Names:             r.Names,
		Reported:          r.Spend,
		ReportedAt:        r.ReadAt,
		Counter:           t.counter,
		Enforced:          a.enforced,
		Tolerance:         a.tolerance,
		Cap:               a.cap,
		ResetAt:           j.resetOf(r),
		Windows:           showWindows(r.Windows, t.windows),
		LockJudged:        a.judged && a.cap.State == CapKnown && !a.doubtful && t.everJudged,
		FalselyLockedLast: knownTime(t.lockedLast),
		BypassedLast:      knownTime(t.bypassedLast),
		Observed:          t.observed,
		FirstAt:           t.firstAt,
	}
	if r.Spend.Known && a.enforced.Known {
		e.Divergence = Some(a.enforced.Value - r.Spend.Value)
	}
	switch {
	case t.lock != NotJudged:
		e.Verdict = t.lock
	case t.lasting || t.odd:
		e.Verdict = Diverging
	case a.judged && !a.doubtful && t.everJudged:
		e.Verdict = OK
	}
	e.Cause = causeOf(t, a, e.Verdict)
	t.entity = e
}

// causeOf names the causes that two readings are enough to tell.
func causeOf(t *Track, a assessment, v Verdict) Cause {
	switch {
	case v == OK || v == NotJudged:
		return NoCause
	case t.immortal:
		return Immortal
	case a.negative:
		return Negative
	case a.pinned:
		return PinnedAtCap
	}
	return Unexplained
}

// showWindows joins the windows of a row with the readings of their counters. The reported spend of a window is
// in no API, so a cold one is unknown.
func showWindows(windows []Window, counters []Counter) []EntityWindow {
	if len(windows) == 0 {
		return nil
	}
	shown := make([]EntityWindow, len(windows))
	for i, w := range windows {
		shown[i] = EntityWindow{Duration: w.Duration, MaxBudget: w.MaxBudget, ResetAt: w.ResetAt}
		if len(counters) == len(windows) && counters[i].State == CounterPresent {
			shown[i].Enforced = Some(counters[i].Value)
		}
	}
	return shown
}

func knownTime(t time.Time) Optional[time.Time] {
	if t.IsZero() {
		return Optional[time.Time]{}
	}
	return Some(t)
}
