package judgement

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestUsualReservations(t *testing.T) {
	wide := func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }
	tolerance := func(t *testing.T, s *story, least, most float64) {
		t.Helper()
		if got := s.track.Entity().Tolerance.Value; got < least || got > most {
			t.Errorf("tolerance %v, want %v to %v", got, least, most)
		}
	}
	// A reservation of 5 is settled to a cost of 0.5.
	settled := func(t *testing.T) *story {
		t.Helper()
		return tell(t, "1.84.0", wide).writtenSoon().pair(0, 3, 3).counter(15, 8).counter(30, 3.5).pair(45, 3.5, 3.5)
	}
	t.Run("several of what was settled can be in flight", func(t *testing.T) {
		tolerance(t, settled(t).counter(60, 6), 13, 18)
	})
	t.Run("its own, for a day, while it is busy", func(t *testing.T) {
		s := settled(t).pair(1500, 3.5, 3.5).pair(1515, 3.5, 3.6).counter(1530, 3.8)
		tolerance(t, s, 4, 6)
	})
	// A cent a second in a deployment where spend is in flight for two minutes.
	known := func(t *testing.T, seconds float64, each func(s *story, sec float64)) *story {
		t.Helper()
		s := tell(t, "1.84.0", wide).writtenSoon()
		s.judge.flight.measured = budget.Some(2 * time.Minute)
		for sec := 0.0; sec <= seconds; sec += 15 {
			each(s, sec)
		}
		return s
	}
	steady := func(s *story, sec float64) { s.pair(sec, 3+0.01*sec, 3.05+0.01*sec) }
	// From then on it is ahead by a little more than what it spends in two minutes.
	waits := func(t *testing.T, s *story, from, rate float64, want bool) {
		t.Helper()
		spend, sec := s.track.row.Spend.Value, from
		for ; sec < from+600 && s.track.Entity().Verdict == budget.OK; sec += 15 {
			spend += 15 * rate
			s.pair(sec, spend, spend+130*rate)
			if e := s.track.Entity(); want && e.Verdict == budget.OK && e.Tolerance.Value < e.Divergence.Value && sec > from {
				t.Errorf("%v s: tolerance %v", sec-from, e.Tolerance.Value)
			}
		}
		if after := sec - from; want != (after > 240 && after < 360) || !want && after > 120 {
			t.Errorf("called after %v s", after)
		}
	}
	t.Run("what is usual elsewhere, for five minutes, of a traffic that is new", func(t *testing.T) {
		waits(t, known(t, 345, steady), 360, 0.01, true)
	})
	t.Run("no longer once it is known", func(t *testing.T) {
		waits(t, known(t, 660, steady), 675, 0.01, false)
	})
	t.Run("only its own, of one that is known", func(t *testing.T) {
		tolerance(t, known(t, 660, steady), 0.1, 0.3)
	})
	t.Run("a quarter more than was ever seen of one that is known", func(t *testing.T) {
		s := known(t, 660, func(s *story, sec float64) {
			ahead := 0.05
			if sec == 150 {
				ahead = 2
			}
			s.pair(sec, 3+0.01*sec, 3+0.01*sec+ahead)
		})
		tolerance(t, s, 2.4, 2.6)
	})
	t.Run("what is usual elsewhere, until it was well at a pace for long enough", func(t *testing.T) {
		s := known(t, 660, steady)
		sec := 675.0
		faster := func(until float64) {
			for ; sec <= until; sec += 15 {
				s.pair(sec, 9.6+0.03*(sec-660), 9.65+0.03*(sec-660))
			}
		}
		faster(960)
		if s.track.usual.traffic.known(0.03) {
			t.Error("it is known at once")
		}
		faster(1500)
		waits(t, s, 1515, 0.03, false)
	})
	t.Run("what was settled lately, where that is more than was ever seen of one that is known", func(t *testing.T) {
		tolerance(t, known(t, 660, steady).pair(675, 9.75, 14.8).pair(690, 9.9, 12.9), 6.5, 8)
	})
	t.Run("not for what is as little as its spend on its way to the row", func(t *testing.T) {
		tolerance(t, known(t, 660, steady).pair(675, 9.75, 9.9).pair(690, 9.9, 9.92), 0.1, 0.3)
	})
	t.Run("not the more, once it diverges and rests", func(t *testing.T) {
		s := known(t, 690, func(s *story, sec float64) {
			ahead := 0.05
			if int(sec)%300 == 150 {
				ahead = 2
			}
			s.pair(sec, 3+0.01*sec, 3+0.01*sec+ahead)
		})
		for sec := 705.0; sec <= 1005; sec += 15 {
			s.pair(sec, 9.9, 13)
		}
		s.verdict(budget.Diverging)
	})
	t.Run("not by what was written at once after a stall", func(t *testing.T) {
		s := known(t, 900, func(s *story, sec float64) {
			written := sec
			if sec > 300 && sec < 600 {
				written = 300
			}
			s.pair(sec, 3+0.01*written, 3.05+0.01*sec)
		})
		if pace := s.track.usual.traffic.pace; pace > 0.02 {
			t.Errorf("a pace of %v USD a second", pace)
		}
	})
	t.Run("what is usual elsewhere, after a rest", func(t *testing.T) {
		s := known(t, 660, steady)
		for sec := 675.0; sec <= 900; sec += 15 {
			s.pair(sec, 9.6, 9.65)
		}
		for sec := 915.0; sec <= 990; sec += 15 {
			s.pair(sec, 9.6+0.01*(sec-900), 9.65+0.01*(sec-900))
		}
		waits(t, s, 1005, 0.01, true)
	})
	t.Run("not while it is idle", func(t *testing.T) {
		s := settled(t).pair(1500, 3.5, 3.5).pair(1515, 3.5, 3.6).pair(1530, 3.5, 3.8).pair(1800, 3.5, 3.8)
		tolerance(t, s, 0, 0.1)
	})
	t.Run("a counter that is mended settles nothing", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3).counter(15, 10)
		for sec := 30.0; sec < 200; sec += 15 {
			s.pair(sec, 3, 10)
		}
		s.counter(200, 3).counter(215, 3.1)
		tolerance(t, s, 0, 0.5)
	})
	t.Run("nor does a reset", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3).counter(15, 8).pair(30, 8, 8).pair(45, 0, 0).counter(60, 0.5).counter(200, 0.6)
		tolerance(t, s, 0, 1)
	})
	t.Run("under steady traffic a counter hardly falls", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).writtenSoon().pair(0, 20, 20)
		for i := 1; i <= 6; i++ { // 1 USD each reading, and a reservation of 5 that is renewed
			s.pair(15*float64(i), 19+float64(i), 25+float64(i))
		}
		s.counter(105, 27) // none is in flight for once
		tolerance(t, s.pair(120, 27, 33), 15, 18)
	})
	t.Run("the end of a burst hides nothing for long", func(t *testing.T) {
		s := tell(t, "1.90.7", wide).pair(0, 10, 10).counter(15, 13).counter(30, 16).pair(45, 16, 16)
		s.pair(60, 16, 16.05).pair(75, 16.05, 16.05).pair(200, 16.05, 16.05).counter(215, 16.1)
		tolerance(t, s, 0, 0.5)
	})
	t.Run("nor one that falls below its row", func(t *testing.T) {
		s := tell(t, "1.84.0", wide).pair(0, 3, 3).counter(15, 8).pair(30, 8, 8).counter(45, 2).counter(200, 9)
		tolerance(t, s, 0, 1)
	})
}
