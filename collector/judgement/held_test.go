package judgement

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// heldAtCap is the story of a key with a cap of 10 whose reservations hold its counter there until 180 s, its row being at
// 5.2 then: it is falsely locked, and that is not counted.
func heldAtCap(t *testing.T) *story {
	t.Helper()
	s := tell(t, "1.84.0").pair(0, 3, 3).pair(15, 3, 9.6).pair(30, 3.2, 10).pair(45, 3.4, 10)
	for sec := 60.0; sec <= 180; sec += 15 {
		s.pair(sec, 3.4+sec/100, 10).verdict(budget.FalselyLocked)
	}
	return s
}

func (s *story) paged(want bool) *story {
	s.t.Helper()
	if e := s.track.Entity(); e.FalselyLockedLast.Known != want {
		s.t.Errorf("counted as a false lock: %t, put down to %q", !want, e.Cause)
	}
	return s
}

func TestWhatIsLeftOfReservationsThatFilledTheBudgetUpIsJudgedAnew(t *testing.T) {
	filled := func() *story {
		s := tell(t, "1.84.0").pair(0, 3, 3).pair(15, 3, 9.6).pair(30, 3.2, 10).pair(45, 3.4, 10)
		for sec := 60.0; sec <= 180; sec += 15 {
			s.pair(sec, 3.4+sec/100, 10).verdict(budget.FalselyLocked)
		}
		return s
	}
	s := filled()
	for i := range 6 { // they are settled
		s.pair(195+15*float64(i), 5.4+0.1*float64(i), 9.5-0.5*float64(i)).verdict(budget.OK)
	}
	s = filled()
	for sec := 195.0; sec < 255; sec += 15 { // they were never
		s.pair(sec, 5.4, 9.5).verdict(budget.OK)
	}
	s.pair(255, 5.4, 9.5).verdict(budget.Diverging)
}

func TestWhatWasReservedAtTheCapIsSpentThen(t *testing.T) {
	s := heldAtCap(t)
	for sec := 195.0; sec < 255; sec += 15 { // the last one cost more than was left for it; the rows are yet to tell
		s.pair(sec, 5.4, 10.02).paged(false).verdict(budget.OK)
	}
	s.pair(255, 10.02, 10.02).paged(false).verdict(budget.OK)

	s = heldAtCap(t)
	for sec := 195.0; sec < 270; sec += 15 {
		s.pair(sec, 5.4, 10.02).paged(false)
	}
	s.pair(271, 5.4, 10.02).verdict(budget.FalselyLocked).paged(true) // they do not
}

func TestALockAfterReservationsHeldTheCounterAtTheCapIsOneOfItsOwn(t *testing.T) {
	for name, begins := range map[string]func(s *story){
		"a counter that is seeded three times": func(s *story) { s.cold(190).counter(195, 15.6) },
		"a life that ran out between two readings": func(s *story) {
			s.reading(budget.Counter{State: budget.CounterPresent, Value: 10, TTL: time.Second, ReadAt: at(185)}).counter(195, 15.6)
		},
		"a cap that was lowered": func(s *story) { s.base.MaxBudget = budget.Some(9.0); s.pair(195, 5.2, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			s := heldAtCap(t)
			begins(s)
			s.paged(false).suspected(budget.FalselyLocked)
			s.pair(211, 5.2, s.track.counter.Value).verdict(budget.FalselyLocked).paged(true)
		})
	}
}

func TestADivergenceThatWasCountedAsALockGoesOnAfterIt(t *testing.T) {
	s := heldAtCap(t)
	for sec := 195.0; sec <= 900; sec += 15 {
		s.pair(sec, 5.2, 10)
	}
	s.paged(true)
	s.base.MaxBudget = budget.Some(50.0)
	s.pair(915, 5.2, 10).verdict(budget.Diverging)
}

func TestASuspicionOfReservationsIsNoneOfWhatFollows(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).pair(15, 3, 9.6).pair(30, 3.2, 10).pair(45, 3.4, 10).suspected(budget.FalselyLocked)
	s.pair(61, 3.4, 10.6).verdict(budget.OK).suspected(budget.FalselyLocked)
	s.pair(77, 3.4, 10.6).verdict(budget.FalselyLocked)
}

func TestATrafficThatHoldsItsCounterAtTheCapIsNotForgotten(t *testing.T) {
	s := heldAtCap(t)
	s.track.usual.traffic.well = knownAfter
	if s.pair(195, 5.4, 10); s.track.usual.traffic.well < knownAfter {
		t.Error("it was forgotten as if the key had rested")
	}
}
