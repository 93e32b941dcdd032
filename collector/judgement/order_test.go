package judgement

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// tellOfLock tells of a key that is falsely locked from 45 s on, confirmed at 60 s.
func tellOfLock(t *testing.T) *story {
	t.Helper()
	return tell(t, "1.84.0").pair(0, 3, 3).pair(15, 3, 3).cold(30).counter(45, 12).pair(60, 3, 12).verdict(budget.FalselyLocked)
}

func (s *story) lockedFor(want time.Duration) *story {
	s.t.Helper()
	if got := s.judge.Totals(budget.Key).FalselyLockedTime; got != want {
		s.t.Fatalf("%v falsely locked, want %v", got, want)
	}
	return s
}

func (s *story) lastLocked(seconds float64) *story {
	s.t.Helper()
	if got := s.track.Entity().FalselyLockedLast; got != budget.Some(at(seconds)) {
		s.t.Fatalf("last shown at %v, want %v", got, at(seconds))
	}
	return s
}

func TestAnOlderCounterIsIgnored(t *testing.T) {
	s := tell(t, "1.84.0").row(0, 3).counter(10, 4).counter(9, 3)
	if got := s.track.Entity().Counter; got.Value != 4 || got.ReadAt != at(10) {
		t.Errorf("%+v", got)
	}
}

// A row of a sweep comes to be known with the end of the sweep.
func TestARowOlderThanTheCounterDoesNotTurnTheTimeBack(t *testing.T) {
	tellOfLock(t).pair(75, 3, 12).counter(90, 12).lockedFor(45*time.Second).
		row(76, 3).lockedFor(45*time.Second).lastLocked(90).verdict(budget.FalselyLocked).
		pair(105, 3, 12).lockedFor(60100 * time.Millisecond).lastLocked(105.1)
}

func TestALockThatNobodySeesIsNotCounted(t *testing.T) {
	t.Run("without Redis", func(t *testing.T) {
		s := tellOfLock(t)
		s.judge.SetEntering(false)
		for sec := 75.0; sec < 3600; sec += 15 {
			s.row(sec, 3)
		}
		s.verdict(budget.FalselyLocked).lastLocked(75)
		s.judge.SetEntering(true)
		s.counter(3600, 3).verdict(budget.OK).lastLocked(75).lockedFor(30 * time.Second)
	})
	t.Run("without LiteLLM", func(t *testing.T) {
		s := tellOfLock(t)
		s.judge.SetEntering(false)
		for sec := 75.0; sec < 200; sec += 15 {
			s.counter(sec, 12)
		}
		s.verdict(budget.FalselyLocked).lastLocked(75)
	})
}

func TestAnExpiredLockWaitsWhileASourceFails(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).counter(30, 12).cold(40)
	s.judge.SetEntering(false)
	s.row(45, 3).episodes(0, 0)
	s.judge.SetEntering(true)
	s.row(60, 3).episodes(1, 0).lastLocked(30)
}

// The edit of a linked budget can put the cap exactly where the counter stands, with no reading that shows it yet.
func TestACapThatComesToTheCounterIsNoLongPin(t *testing.T) {
	linked := func(cap float64) map[string]budget.LinkedBudget {
		return map[string]budget.LinkedBudget{"b": {ID: "b", MaxBudget: budget.Some(cap)}}
	}
	s := tell(t, "1.84.0", func(r *budget.Row) {
		r.MaxBudget, r.Link = budget.Optional[float64]{}, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b"}
	})
	s.judge.SetBudgets(linked(10))
	s.pair(0, 3, 3).pair(15, 3, 3).cold(30).counter(45, 12).pair(60, 3, 12).verdict(budget.FalselyLocked)
	s.judge.SetBudgets(linked(12))
	s.judge.Refresh(&s.track, at(61))
	s.verdict(budget.FalselyLocked)
	for _, e := range s.track.Entity().Evidence {
		if e.Name == "pinned_seconds" && e.Value > 1 {
			t.Errorf("pinned for %v s", e.Value)
		}
	}
}
