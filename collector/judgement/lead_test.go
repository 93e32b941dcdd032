package judgement

import (
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestALeadThatCameBackByItselfIsUsual(t *testing.T) {
	for name, c := range map[string]struct {
		seconds    float64 // for which the counter was ahead of the row by a dollar
		back       float64 // to how much, in USD
		by         func(s *story, at float64)
		rests      float64 // for how many seconds then
		again      float64 // USD, for as long as before, and back
		ahead      float64 // USD, for four minutes
		idle       bool    // in these
		wantCalled bool
	}{
		"as much":                                {seconds: 90, back: 0.1, ahead: 1.1},
		"more":                                   {seconds: 90, back: 0.1, ahead: 1.6, wantCalled: true},
		"as much, while nothing is in flight":    {seconds: 90, back: 0.1, ahead: 1.1, idle: true, wantCalled: true},
		"as much, days later":                    {seconds: 90, back: 0.1, rests: 2 * 24 * 3600, ahead: 1.1, wantCalled: true},
		"as much as a smaller one, days later":   {seconds: 90, back: 0.1, rests: 2 * 24 * 3600, again: 0.5, ahead: 0.55},
		"where it came back by a third":          {seconds: 90, back: 0.67, ahead: 1.6, wantCalled: true},
		"where it was so for less than a minute": {seconds: 60, back: 0.1, ahead: 1.1, wantCalled: true},
		"where its counter went before":          {seconds: 90, by: func(s *story, at float64) { s.cold(at) }, back: 0.1, ahead: 1.1, wantCalled: true},
		"where the row was reset before":         {seconds: 90, by: func(s *story, at float64) { s.row(at, 0) }, back: 0.1, ahead: 1.1, wantCalled: true},
		"where it was a divergence meanwhile":    {seconds: 150, back: 0.1, ahead: 1.1, wantCalled: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).pair(0, 3, 3)
			const pause = 15.0
			now, reported, counter := pause, 3.0, 3.0
			// Neither side falls: the row catches up with the counter.
			ahead := func(seconds, usd float64) {
				for end := now + seconds; now < end; now += pause {
					if reported = max(reported, counter-usd); !c.idle || usd != c.ahead {
						reported += 0.03
					}
					counter = reported + usd
					s.pair(now, reported, counter)
				}
			}
			ahead(300, 0)
			ahead(c.seconds, 1)
			if c.by != nil {
				c.by(s, now-1)
			}
			ahead(75, c.back)
			now += c.rests
			if c.again > 0 {
				ahead(30, 0)
				ahead(c.seconds, c.again)
				ahead(75, c.back)
			}
			ahead(75, c.back)
			ahead(240, c.ahead)
			if called := s.track.Entity().Verdict == budget.Diverging; called != c.wantCalled {
				t.Errorf("called diverging: %v", called)
			}
		})
	}
}

// A lead is what is waited for before an entity is called diverging; it is nothing that a false lock can be.
func TestALeadHidesNoLock(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(40.0) })
	sec := 0.0
	for ; sec < 300; sec += 15 { // rows far behind
		s.pair(sec, 3+0.1*max(0, sec-75), 3+0.1*sec)
	}
	for ; sec < 420; sec += 15 {
		s.pair(sec, 31.5, 31.5)
	}
	if s.track.usual.lead.most.at(at(sec), usualFor) < 5 {
		t.Fatal("no lead was learned")
	}
	spend := 31.5
	for ; sec < 4000; sec += 15 {
		spend += 0.0075
		s.pair(sec, spend-0.0075, spend)
	}
	s.base.MaxBudget = budget.Some(spend + 4.5)
	for i := range 7 {
		s.pair(sec+15*float64(i), spend-0.0075, spend+5)
	}
	s.verdict(budget.FalselyLocked)
}

// How long it was ahead by what is usual for it says nothing of by how long it has been by more.
func TestAUsualLeadIsNoBeginningOfADivergence(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) })
	now, reported, counter := 0.0, 3.0, 3.0
	ahead := func(readings int, usd float64, want budget.Verdict) {
		t.Helper()
		for range readings { // the counter does not fall: the row catches up with it
			reported = max(reported, counter-usd) + 0.03
			counter = reported + usd
			s.pair(now, reported, counter).verdict(want)
			now += 15
		}
	}
	ahead(20, 0, budget.OK)
	ahead(6, 1, budget.OK)
	ahead(10, 0.1, budget.OK)
	s.writtenSoon()
	ahead(4, 1.1, budget.OK)
	ahead(4, 1.6, budget.OK)
	ahead(1, 1.6, budget.Diverging)
}
