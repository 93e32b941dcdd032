package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// UndecidedSince is since when something has been suspected of the entity that readings to come will confirm or drop:
// a false lock or bypass, a divergence that may last, a counter that may have no end. Unknown = nothing is.
func (t *Track) UndecidedSince() budget.Optional[time.Time] {
	if t.entity == nil || t.entity.Suspected == nil {
		return budget.Optional[time.Time]{}
	}
	return budget.Some(t.entity.Suspected.Since)
}

// suspected is all that is suspected taken together: the worst, and since when anything has been. Nil = nothing is.
func (t *Track) suspected() *budget.Suspicion {
	var open *budget.Suspicion
	also := func(v budget.Verdict, since time.Time, due budget.Optional[time.Time]) {
		switch {
		case open == nil:
			open = &budget.Suspicion{Verdict: v, Since: since, Due: due}
		case since.Before(open.Since):
			open.Since = since
		}
	}
	for _, s := range []*suspicion{t.suspicion, t.apparentLock, t.expiredLock} { // the worst first
		if s != nil {
			also(s.verdict, s.since, budget.Some(s.due))
		}
	}
	called := t.lock != budget.NotJudged || t.lasting || t.odd
	if !t.divergingSince.IsZero() && t.stands == 0 && !called {
		also(budget.Diverging, t.divergingSince, budget.Some(t.divergingDue))
	}
	if t.counter.State == budget.CounterPresent && t.counter.TTL == budget.NoExpiry && !called {
		also(budget.Diverging, t.counter.ReadAt, budget.Optional[time.Time]{})
	}
	return open
}
