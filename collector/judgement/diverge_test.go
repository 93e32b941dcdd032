package judgement

import (
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestADivergenceTheOtherWayRoundIsAnother(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 9, 9).cold(15).pair(30, 9, 6).pair(45, 9, 6).pair(60, 9, 6)
	for sec := 75.0; sec < 135; sec += 15 {
		s.pair(sec, 9, 9.8).verdict(budget.OK)
	}
	s.pair(135, 9, 9.8).pair(150, 9, 9.8).pair(166, 9, 9.8).verdict(budget.Diverging)
}

func TestARowThatIsBroughtUpEndsADivergence(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 4).pair(45, 3, 4).pair(60, 3, 4)
	s.counter(75, 5).row(75.2, 4)           // what came first is written as more is spent
	for sec := 90.0; sec < 135; sec += 15 { // the first would have been one from 105 s on
		s.pair(sec, 4, 5).verdict(budget.OK)
	}

	s = tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 6).pair(45, 3, 6).pair(60, 3, 6)
	s.counter(75, 6.5).row(75.2, 3.5) // it had been more than what is written
	s.pair(90, 3.5, 6.5).pair(106, 3.5, 6.5).verdict(budget.Diverging)
}

func TestACounterReadLongAfterItsRowTellsOfNoDivergence(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15)
	for sec := 30.0; sec < 105; sec += 15 {
		s.pair(sec, 3, 6)
	}
	s.counter(120, 6).verdict(budget.OK).row(120.1, 3).verdict(budget.Diverging)
}

func TestReservationsAtAStrangePace(t *testing.T) {
	wide := func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }
	const ahead, cents = 6.0, 0.02 // USD, and USD a second
	busy := func(s *story, from, ahead float64) *story {
		for sec := from; sec < from+300; sec += 15 {
			if s.pair(sec, 3+cents*sec, 3+cents*sec+ahead); s.track.Entity().Verdict == budget.Diverging {
				break
			}
		}
		return s
	}
	calledAt := func(s *story) float64 { return s.track.Entity().ReportedAt.Sub(epoch).Seconds() }

	t.Run("never seen well at it", func(t *testing.T) {
		s := busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, ahead)
		s.verdict(budget.OK)
		busy(s, 315, ahead).verdict(budget.Diverging)
		if got := calledAt(s); got > 345 {
			t.Errorf("called after %v s", got)
		}
	})
	t.Run("seen well at it", func(t *testing.T) {
		s := busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, 0).verdict(budget.OK)
		busy(s, 315, ahead).verdict(budget.Diverging)
		if got := calledAt(s); got > 315+105 {
			t.Errorf("called after %v s", got-315)
		}
	})
	t.Run("more than can be reserved", func(t *testing.T) {
		s := busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, 10*ahead).verdict(budget.Diverging)
		if got := calledAt(s); got > 15+105 {
			t.Errorf("called after %v s", got)
		}
	})
	t.Run("several workers seeded at once", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3).cold(15)
		for sec := 30.0; sec <= 135; sec += 15 {
			s.pair(sec, 3+cents*(sec-30), 6+cents*(sec-30))
		}
		s.verdict(budget.Diverging)
	})
}

func TestWhatIsApartAfterAResetIsAnotherDivergence(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 9, 9).cold(15).pair(30, 9, 9.5).pair(45, 9, 9.5).pair(60, 9, 9.5)
	s.pair(75, 0, 0.3).verdict(budget.OK)
	for sec := 90.0; sec < 135; sec += 15 {
		s.pair(sec, 0, 0.3).verdict(budget.OK)
	}
	s.pair(150, 0, 0.3).pair(166, 0, 0.3).verdict(budget.Diverging)
}

func TestSpendOfBeforeAResetThatIsWrittenAfterItIsNoDivergence(t *testing.T) {
	afterReset := func(late float64) *story {
		s := tell(t, "1.84.0")
		for sec := 0.0; sec < 120; sec += 15 { // two cents a second, the row 15 s behind
			s.pair(sec, 3+0.02*sec, 3+0.02*(sec+15))
		}
		s.pair(120, 0, 0)
		for sec := 135.0; sec < 300; sec += 15 {
			s.pair(sec, late, 0)
		}
		return s
	}
	afterReset(0.4).verdict(budget.OK)
	s := afterReset(0.4).cold(300)
	for sec := 315.0; sec <= 390; sec += 15 { // seeded anew, it knows of all that is in the row
		s.pair(sec, 0.4, 0.1)
	}
	s.verdict(budget.Diverging)
	afterReset(5).verdict(budget.Diverging)
}

func TestARequestThatWasSettledIsOnItsWayToTheRow(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 3.6).pair(45, 3, 3.6).pair(60, 3, 3.55)
	for sec := 75.0; sec < 135; sec += 15 { // the flush comes once a minute, and the row is read 15 s later
		s.pair(sec, 3, 3.55).verdict(budget.OK)
	}
	s.pair(135, 3, 3.55).verdict(budget.Diverging)
}
