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

	t.Run("false lock", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536)
		decided(s)
		undecided(s.cold(6).counter(16, 10.607), 16)
		undecided(s.pair(20, 3.536, 10.607), 16)
		decided(s.pair(31, 3.536, 10.607).verdict(budget.FalselyLocked))
	})
	t.Run("expired lock", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).cold(6).counter(16, 10.607).cold(77)
		undecided(s, 16)
		decided(s.row(90, 3.536))
	})
	t.Run("lasting divergence", func(t *testing.T) {
		s := tell(t, "1.84.0").row(0, 3).counter(1, 3).cold(16).counter(31, 6)
		undecided(s, 31)
		for second := 45.0; second < 105; second += 15 {
			undecided(s.pair(second, 3, 6), 31)
		}
		decided(s.pair(107, 3, 6).verdict(budget.Diverging))
	})
	t.Run("divergence that passes", func(t *testing.T) {
		decided(tell(t, "1.84.0").row(0, 3).counter(1, 3).cold(16).counter(31, 6).pair(45, 6, 6))
	})
	t.Run("no end", func(t *testing.T) {
		forever := func(s *story, seconds float64) *story {
			return s.reading(budget.Counter{State: budget.CounterPresent, Value: 3, TTL: budget.NoExpiry, ReadAt: epoch.Add(time.Duration(seconds) * time.Second)})
		}
		s := forever(tell(t, "1.84.0").row(0, 3), 1)
		undecided(s, 1)
		decided(forever(s, 16).verdict(budget.Diverging))
	})
}
