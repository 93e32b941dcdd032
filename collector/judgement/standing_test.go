package judgement

import (
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestStanding(t *testing.T) {
	type phase struct{ usd, seconds float64 }
	for name, c := range map[string]struct {
		phases []phase
		want   float64 // USD
	}{
		"nothing":                              {nil, 0},
		"for a while":                          {[]phase{{2, 150}}, 3},
		"not for long enough":                  {[]phase{{2, 120}}, 0},
		"growing by less than a half":          {[]phase{{2, 150}, {2.9, 300}}, 3},
		"growing by more, and back":            {[]phase{{2, 150}, {3.1, 300}, {2, 30}}, 3},
		"the largest of a while":               {[]phase{{1, 60}, {2, 30}, {1, 90}}, 3},
		"the least of several":                 {[]phase{{2, 150}, {1, 150}, {2, 150}, {1.4, 30}}, 1.5},
		"which is remembered for half an hour": {[]phase{{1, 150}, {2, 1650}}, 1.5},
		"and for no more than an hour":         {[]phase{{1, 150}, {2, 3650}}, 3},
		"none":                                 {[]phase{{0, 600}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s standing
			now := 0.0
			for _, p := range c.phases {
				for end := now + p.seconds; now < end; now += 30 {
					s.lead(p.usd, at(now))
				}
				s.lead(p.usd, at(now))
			}
			if got := s.upTo(at(now+1), at(now+1)); got != c.want {
				t.Errorf("up to %v, want %v; %+v", got, c.want, s)
			}
		})
	}
}

func TestALeadThatIsTooLargeStandsAtWhatItStoodAtBefore(t *testing.T) {
	var s standing
	for sec := 0.0; sec <= 300; sec += 30 {
		s.lead(2, at(sec))
	}
	for since, want := range map[float64]float64{151: 3, 149: 0} {
		if got := s.upTo(at(since), at(since+299)); got != want {
			t.Errorf("too large since %v s: up to %v, want %v", since, got, want)
		}
		if got := s.upTo(at(since), at(since+300)); got != 3 {
			t.Errorf("for five minutes: up to %v", got)
		}
	}
}

// What has another cause than reservations is called whatever it stood at, as once the other source is back.
func TestALeadThatStandsExplainsReservationsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		begins, row float64 // USD in the row, of a counter that goes on
		want        budget.Verdict
	}{
		"reservations":                         {9, 9, budget.OK},
		"a reset that the counter did not see": {9, 0, budget.Diverging},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).pair(0, c.begins, 12)
			s.judge.SetEntering(false)
			for sec := 15.0; sec < 600; sec += 15 {
				s.pair(sec, c.row+0.02*sec, 12+0.02*sec)
			}
			s.judge.SetEntering(true)
			s.pair(600, c.row+12, 24).verdict(c.want)
		})
	}
}

func TestALeadThatStandsIsNoMeasureOfWhatIsTooLow(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).pair(0, 3, 3)
	for sec := 15.0; sec < 600; sec += 15 {
		s.pair(sec, 3+0.02*sec, 9+0.02*sec)
	}
	s.verdict(budget.OK)
	for sec := 600.0; sec < 720; sec += 15 {
		s.pair(sec, 14+0.02*sec, 9+0.02*sec)
		if e := s.track.Entity(); e.Tolerance.Value > 3.2 {
			t.Errorf("%v s: tolerance %v", sec, e.Tolerance.Value)
		}
	}
	s.verdict(budget.Diverging)
}

// What a lead stood at hides nothing that is larger, though its row is read too long after the counter to tell what it stands at.
func TestALeadThatStoodExplainsNothingLarger(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).writtenSoon().pair(0, 3, 3)
	sec := 15.0
	for ; sec < 1200; sec += 15 {
		s.pair(sec, 3+0.01*(sec-15), 3+0.01*sec)
	}
	for jumped := sec; sec < jumped+120; sec += 15 {
		s.counter(sec, 6+0.01*sec).row(sec+5, 3+0.01*(sec-10))
	}
	s.verdict(budget.Diverging)
}
