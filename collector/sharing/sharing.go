// Package sharing tells whether LiteLLM keeps its counters where they are read. It is pure: no I/O and no clock of its
// own.
package sharing

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// unseenFor is for how long spend that no counter showed is told.
	unseenFor = 5 * time.Minute
	// leastUnseen is how long there must have been no counter before a row is read for its rise to tell something:
	// the spend of a request is in its counter for 60 s, and in the row before those are over.
	leastUnseen = time.Minute
)

// Watch watches whether spend rises while no counter is anywhere: then LiteLLM counts in another Redis, under another
// namespace, or in none (BerriAI/litellm #30661, #42653).
type Watch struct {
	counted    bool      // a cycle read all counters of the fleet
	emptySince time.Time // the first of the unbroken cycles that found no counter; zero if the last found one
	unseen     []spend
}

type spend struct {
	at  time.Time
	usd float64
}

// Cycle takes in a cycle of reading counters: when it began, whether it read those of the whole fleet, and whether any
// of them was there. One that could not read all tells nothing of what is missing.
func (s *Watch) Cycle(began time.Time, whole, present bool) {
	switch {
	case present || !whole:
		s.emptySince, s.unseen = time.Time{}, nil
	case s.emptySince.IsZero():
		s.emptySince = began
	}
	s.counted = s.counted || whole
	for len(s.unseen) > 0 && began.Sub(s.unseen[0].at) > unseenFor {
		s.unseen = s.unseen[1:]
	}
}

// Row takes in two successive readings of a row; before is nil at the first.
func (s *Watch) Row(before, now *budget.Row) {
	if before == nil || s.emptySince.IsZero() || before.ReadAt.Before(s.emptySince.Add(leastUnseen)) {
		return
	}
	rise := now.Spend.Value - before.Spend.Value
	if !before.Spend.Known || !now.Spend.Known || rise <= 0 {
		return
	}
	if last := len(s.unseen) - 1; last >= 0 && s.unseen[last].at.Equal(now.ReadAt) {
		s.unseen[last].usd += rise
		return
	}
	s.unseen = append(s.unseen, spend{now.ReadAt, rise})
}

// Counted says whether a cycle ever read the counters of the whole fleet.
func (s *Watch) Counted() bool { return s.counted }

// Missing says whether spend rose lately by more than a floor in USD, without a counter that showed it.
func (s *Watch) Missing(floor float64) bool { return s.unseenUSD() > floor }

func (s *Watch) unseenUSD() (sum float64) {
	for _, u := range s.unseen {
		sum += u.usd
	}
	return sum
}

// Evidence is the numbers that speak for missing counters, while they are.
func (s *Watch) Evidence(now time.Time) []budget.Evidence {
	return []budget.Evidence{
		{Name: "no_counter_seconds", Value: now.Sub(s.emptySince).Seconds()},
		{Name: "unseen_spend_usd", Value: s.unseenUSD()},
	}
}
