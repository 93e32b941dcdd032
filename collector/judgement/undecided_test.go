package judgement

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestUndecidedSince(t *testing.T) {
	undecided := func(s *story, want float64) {
		t.Helper()
		if got := s.track.UndecidedSince(); !got.Known || !got.Value.Equal(at(want)) {
			t.Fatalf("undecided since %v, want %v", got, at(want))
		}
	}
	decided := func(s *story) {
		t.Helper()
		if got := s.track.UndecidedSince(); got.Known {
			t.Fatalf("undecided since %v", got)
		}
	}

	due := func(s *story, verdict budget.Verdict, want budget.Optional[time.Time]) {
		t.Helper()
		if got := s.track.Entity().Suspected; got.Verdict != verdict || got.Due.Known != want.Known || !got.Due.Value.Equal(want.Value) {
			t.Fatalf("suspected: %+v, want %s, due at %v", got, verdict, want)
		}
	}

	t.Run("false lock", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536)
		decided(s)
		undecided(s.cold(6).counter(16, 10.607), 16)
		due(s, budget.FalselyLocked, budget.Some(at(31)))
		undecided(s.pair(20, 3.536, 10.607), 16)
		decided(s.pair(31, 3.536, 10.607).verdict(budget.FalselyLocked))
	})
	t.Run("lock or budget truly spent", func(t *testing.T) { // until the row had the time of the slowest flush to tell
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).counter(16, 10.607)
		undecided(s.suspected(budget.NotJudged), 16)
		due(s, budget.FalselyLocked, budget.Some(at(16+75+15)))
		undecided(s.pair(92, 3.536, 10.607).suspected(budget.FalselyLocked), 16)
		due(s, budget.FalselyLocked, budget.Some(at(92+15)))
		decided(s.pair(108, 3.536, 10.607).verdict(budget.FalselyLocked))
		decided(tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).counter(16, 10.607).row(31, 10.607))
	})
	t.Run("lock that a raised cap opens", func(t *testing.T) { // the numbers are as far apart as before
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).cold(6).counter(16, 10.607).pair(31, 3.536, 10.607).verdict(budget.FalselyLocked)
		s.base.MaxBudget = budget.Some(20.0)
		undecided(s.pair(40, 3.536, 10.607).verdict(budget.OK), 16)
		due(s, budget.Diverging, budget.Some(at(16+75)))
		decided(s.pair(92, 3.536, 10.607).verdict(budget.Diverging))
	})
	t.Run("bypass", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 17).counter(1, 17).counter(16, 6)
		undecided(s, 16)
		due(s, budget.Bypassed, budget.Some(at(31)))
		decided(s.pair(32, 17, 6).verdict(budget.Bypassed))
	})
	t.Run("blocked", func(t *testing.T) {
		decided(tell(t, "1.84.0", func(r *budget.Row) { r.Blocked = true }).row(0, 17).counter(1, 17).counter(16, 6))
	})
	t.Run("expired lock", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).cold(6).counter(16, 10.607).cold(77)
		undecided(s, 16)
		decided(s.row(90, 3.536))
	})
	t.Run("lasting divergence", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3).counter(1, 3).cold(16).counter(31, 6)
		undecided(s, 31)
		due(s, budget.Diverging, budget.Some(at(31+75)))
		for second := 45.0; second < 105; second += 15 {
			undecided(s.pair(second, 3, 6), 31)
		}
		decided(s.pair(107, 3, 6).verdict(budget.Diverging))
	})
	t.Run("divergence that passes", func(t *testing.T) {
		decided(tell(t, "1.84.0").row(0, 3).counter(1, 3).cold(16).counter(31, 6).pair(45, 6, 6))
	})
	t.Run("divergence first seen beside a counter that stands still at first", func(t *testing.T) { // its row rises, and is nowhere near
		s := tell(t, "1.84.0").row(0, 0.35).counter(1, 9.99).counter(16, 9.99)
		undecided(s, 1)
		undecided(s.counter(31, 10).row(32, 0.37).counter(33, 10), 1)
	})
	t.Run("below 0", func(t *testing.T) { // it is diverging whatever becomes of what is between the two
		decided(tell(t, "1.84.0").row(0, 2).counter(1, 2).counter(16, -1).verdict(budget.Diverging))
	})
	t.Run("no end of what is locked", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 3, 12).pair(20, 3, 12).verdict(budget.FalselyLocked)
		decided(s.reading(budget.Counter{State: budget.CounterPresent, Value: 12, TTL: budget.NoExpiry, ReadAt: at(35)}).verdict(budget.FalselyLocked))
	})
	t.Run("no end", func(t *testing.T) {
		forever := func(s *story, seconds float64) *story {
			return s.reading(budget.Counter{State: budget.CounterPresent, Value: 3, TTL: budget.NoExpiry, ReadAt: epoch.Add(time.Duration(seconds) * time.Second)})
		}
		s := forever(tell(t, "1.84.0").row(0, 3), 1)
		undecided(s, 1)
		due(s, budget.Diverging, budget.Optional[time.Time]{})
		decided(forever(s, 16).verdict(budget.Diverging))
	})
}
