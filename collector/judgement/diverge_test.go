package judgement

import (
	"math"
	"testing"
	"time"

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

func TestTheToleranceThatIsExportedMustBeExceededForAWhile(t *testing.T) {
	const cents = 0.02 // USD a second
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).writtenSoon()
	sec := 0.0
	ahead := func(usd float64) *story {
		sec += 15
		return s.pair(sec, 3+cents*sec, 3+cents*sec+usd)
	}
	for sec < 900 {
		ahead(0)
	}
	s.judge.behind = durations{measured: budget.Some(75 * time.Second)} // others' rows are farther behind
	for range 5 {                                                       // more than its own waits for, less than the tolerance that is exported
		ahead(1.6).verdict(budget.OK)
	}
	if e := s.track.Entity(); e.Suspected == nil || e.Tolerance.Value < 1.6 || e.Tolerance.Value > 1.9 {
		t.Fatalf("%+v", *e)
	}
	s.judge.behind = durations{measured: budget.Some(15 * time.Second)} // no longer
	ahead(1.6).verdict(budget.OK)
	ahead(1.6).verdict(budget.OK)
	ahead(1.6).verdict(budget.Diverging)
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
		busy(s, 315, ahead).verdict(budget.OK)
		if got := s.track.Entity().Tolerance.Value; got < ahead || got > 1.6*ahead {
			t.Errorf("tolerance %v", got)
		}
		s.pair(615, 15.2, 21.2).pair(750, 15.2, 21.2).pair(765, 15.2, 21.2).verdict(budget.Diverging) // nothing is in flight
	})
	t.Run("never seen well at it, and growing", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3)
		for sec := 15.0; sec < 450 && s.track.Entity().Verdict == budget.OK; sec += 15 {
			s.pair(sec, 3+cents*sec, 3+cents*sec+ahead/2*(1+sec/150))
		}
		if got := calledAt(s.verdict(budget.Diverging)); got < 300 || got > 390 {
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
	t.Run("met lately, and seen well at it", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3)
		for sec := 15.0; sec < 75; sec += 15 {
			s.pair(sec, 3+cents*sec, 3+cents*sec)
		}
		if got := calledAt(busy(s, 75, ahead).verdict(budget.Diverging)); got < 300 || got > 345 {
			t.Errorf("called after %v s", got)
		}
	})
	t.Run("written once a minute", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3)
		for sec := 15.0; sec < 300; sec += 15 {
			s.pair(sec, 3+cents*60*math.Floor(sec/60), 3+cents*sec+ahead).verdict(budget.OK)
		}
	})
	t.Run("as if counted twice", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3)
		for sec := 15.0; sec < 240; sec += 15 {
			s.pair(sec, 3+cents*sec, 5+2*cents*sec).verdict(budget.OK)
		}
	})
	t.Run("as if they leaked", func(t *testing.T) {
		s := tell(t, "1.90.7")
		for i, r := range [][2]float64{
			{0, 0.1677}, {0, 0.2977}, {0, 0.3076}, {0.0515, 0.3348}, {0.0515, 0.3602}, {0.0515, 0.4069}, {0.0515, 0.4712},
			{0.1272, 0.4607}, {0.1272, 0.4901}, {0.1272, 0.5788}, {0.1272, 0.6003},
		} {
			s.counter(15*float64(i+1), r[1]).row(15*float64(i+1)+0.1, r[0]).verdict(budget.OK)
		}
	})
	// A dollar is settled at every other reading, and taken again.
	settling := func(s *story, from float64) {
		for i := range 16 {
			s.pair(from+15*float64(i), 3+cents*(from+15*float64(i)), 3+cents*(from+15*float64(i))+11.5-float64(i%2))
			if s.track.Entity().Verdict == budget.Diverging {
				break
			}
		}
	}
	t.Run("settled as never before, by whom is known", func(t *testing.T) {
		s := busy(busy(busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, 0), 315, 0), 615, 0).verdict(budget.OK)
		settling(s, 915)
		s.verdict(budget.OK)
	})
	t.Run("settled as never before, by whom is not", func(t *testing.T) {
		s := busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, 0).verdict(budget.OK)
		settling(s, 315)
		s.verdict(budget.Diverging)
	})
	t.Run("as never before, of whom is known, and none of it settled", func(t *testing.T) {
		s := busy(busy(busy(tell(t, "1.84.0", wide).pair(0, 3, 3), 15, 0), 315, 0), 615, 0).verdict(budget.OK)
		busy(s, 915, 8).verdict(budget.Diverging)
		if got := calledAt(s); got > 915+105 {
			t.Errorf("called after %v s", got-915)
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
	for sec := 75.0; sec < 150; sec += 15 { // the first would have been one from 120 s on
		s.pair(sec, 0, 0.3).verdict(budget.OK)
	}
	s.pair(151, 0, 0.3).pair(166, 0, 0.3).verdict(budget.Diverging)
}

func TestSpendOfBeforeAResetThatIsWrittenAfterItIsNoDivergence(t *testing.T) {
	// Two cents a second, with the row 15 s behind, and after the reset so much in the row of which the counter knows nothing.
	afterReset := func(late float64) *story {
		s := tell(t, "1.84.0")
		for sec := 0.0; sec < 120; sec += 15 {
			s.pair(sec, 3+0.02*sec, 3+0.02*(sec+15))
		}
		s.pair(120, 0, 0)
		for sec := 135.0; sec < 300; sec += 15 {
			s.pair(sec, late, 0)
		}
		return s
	}
	diverges := func(s *story, from, reported, counter float64) {
		t.Helper()
		for sec := from; sec <= from+75; sec += 15 {
			s.pair(sec, reported, counter)
		}
		s.verdict(budget.Diverging)
	}
	t.Run("as much as was on its way", func(t *testing.T) { afterReset(0.4).verdict(budget.OK) })
	t.Run("more", func(t *testing.T) { afterReset(5).verdict(budget.Diverging) })
	t.Run("more than there was in the end", func(t *testing.T) { diverges(afterReset(0.4), 300, 1.4, 0.1) })
	t.Run("at a cap between the two", func(t *testing.T) {
		s := afterReset(0.4)
		s.base.MaxBudget = budget.Some(0.35)
		s.pair(300, 0.4, 0.1).pair(320, 0.4, 0.1).verdict(budget.OK)
	})
	// New spend hides it until the traffic slows down, and what a reset before carried over is still there at the next.
	slowing := func(t *testing.T, resets int, late float64) *story {
		t.Helper()
		s := tell(t, "1.84.0")
		now := 0.0
		for range resets {
			for range 12 {
				s.pair(now, 3+0.02*now, 3+0.02*(now+15))
				now += 15
			}
			s.pair(now, 0, 0)
			now += 15
			for sec := 15.0; sec < 300; sec += 15 {
				s.pair(now, 0.02*(sec-15)+late, 0.02*sec+0.3).verdict(budget.OK)
				now += 15
			}
		}
		for range 12 {
			s.pair(now, 6+late, 6)
			now += 15
		}
		return s
	}
	t.Run("hidden for a while", func(t *testing.T) { slowing(t, 1, 0.55).verdict(budget.OK) })
	t.Run("hidden, and more", func(t *testing.T) { slowing(t, 1, 0.75).verdict(budget.Diverging) })
	t.Run("of two resets", func(t *testing.T) { slowing(t, 2, 1.1).verdict(budget.OK) })
	// Four dollars are reserved when the reset comes; what of the dollars spent before it comes later is seen as the traffic is little.
	quiet := func(t *testing.T) *story {
		t.Helper()
		s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) })
		for sec := 0.0; sec < 600; sec += 15 {
			s.pair(sec, 3+0.1*max(0, sec-45), 7+0.1*sec)
		}
		s.pair(600, 0, 0)
		for sec := 615.0; sec < 1200; sec += 15 {
			s.pair(sec, 0.001*sec, 0.001*sec)
		}
		return s.verdict(budget.OK)
	}
	t.Run("where the counter is read first", func(t *testing.T) {
		s := tell(t, "1.84.0")
		for sec := 0.0; sec < 120; sec += 15 {
			s.pair(sec, 3+0.02*max(0, sec-15), 3+0.02*(sec+15))
		}
		s.counter(120, 0).row(120.1, 0)
		for sec := 135.0; sec < 300; sec += 15 {
			s.pair(sec, 0.7, 0)
		}
		s.verdict(budget.OK)
	})
	t.Run("of which nothing came", func(t *testing.T) { diverges(quiet(t), 1200, 2.2, 1.2) })
	t.Run("of which nothing came, at a cap between the two", func(t *testing.T) {
		s := quiet(t)
		s.base.MaxBudget = budget.Some(2.0)
		s.pair(1200, 2.2, 1.2).pair(1216, 2.2, 1.2).verdict(budget.Bypassed)
	})
	t.Run("once the counter has gone", func(t *testing.T) { diverges(afterReset(0.4).cold(300), 315, 0.4, 0.1) })
	t.Run("once the counter has run out", func(t *testing.T) { diverges(afterReset(0.4), 350, 0.4, 0.1) })
}

func TestARequestThatWasSettledIsOnItsWayToTheRow(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 3.6).pair(45, 3, 3.6).pair(60, 3, 3.55)
	for sec := 75.0; sec < 120; sec += 15 { // it would have been one from 105 s on
		s.pair(sec, 3, 3.55).verdict(budget.OK)
	}
	s.pair(121, 3, 3.55).verdict(budget.Diverging)
}

func TestWhoIsMetWithRequestsInFlightIsSeenToSettleThem(t *testing.T) {
	s := tell(t, "1.84.0")
	for sec := 0.0; sec < 45; sec += 15 {
		s.pair(sec, 3, 3.6)
	}
	for sec := 45.0; sec < 105; sec += 15 { // it would have been one from 60 s on
		s.pair(sec, 3.01, 3.55).verdict(budget.OK)
	}
	s.pair(106, 3.01, 3.55).verdict(budget.Diverging)
}
