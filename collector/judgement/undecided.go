package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// UndecidedSince is since when something has been suspected of the entity that readings to come will confirm or drop:
// a false lock or bypass, a divergence that may last, a counter that may have no end. Unknown = nothing is.
func (t *Track) UndecidedSince() budget.Optional[time.Time] {
	earliest := time.Time{}
	since := func(at time.Time) {
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
	}
	for _, s := range []*suspicion{t.suspicion, t.expiredLock} {
		if s != nil {
			since(s.since)
		}
	}
	if !t.divergingSince.IsZero() && !t.lasting && t.lock == budget.NotJudged {
		since(t.divergingSince)
	}
	if t.counter.State == budget.CounterPresent && t.counter.TTL == budget.NoExpiry && !t.immortal {
		since(t.counter.ReadAt)
	}
	return knownTime(earliest)
}
