package poller

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

// sharing watches whether spend rises while no counter is anywhere: then LiteLLM counts in another Redis, under
// another namespace, or in none.
type sharing struct {
	counted    bool      // a cycle read all counters of the fleet
	emptySince time.Time // the first of the unbroken cycles that found no counter; zero if the last found one
	unseen     []spend
}

type spend struct {
	at  time.Time
	usd float64
}

// cycle takes in a cycle that began at a time. One that could not read all tells nothing of what is missing.
func (s *sharing) cycle(began time.Time, whole, present bool) {
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

// row takes in two successive readings of a row.
func (s *sharing) row(before, now *budget.Row) {
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

// missing says whether spend rose unseen by more than a floor.
func (s *sharing) missing(floor float64) bool {
	sum := 0.0
	for _, u := range s.unseen {
		sum += u.usd
	}
	return sum > floor
}
