package sharing

import (
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestRiseCountsAsUnseenOnlyIfItsCounterWouldHaveBeenSeen(t *testing.T) {
	at := func(seconds int) time.Time { return created.Add(time.Duration(seconds) * time.Second) }
	row := func(seconds int, usd float64) *budget.Row {
		return &budget.Row{ReadAt: at(seconds), Spend: budget.Some(usd)}
	}
	for name, c := range map[string]struct {
		before, now *budget.Row
		missing     bool
	}{
		"both readings well after the last counter":       {row(200, 1), row(260, 2), true},
		"the first reading before the last counter":       {row(80, 1), row(260, 2), false},
		"the first reading just after it":                 {row(120, 1), row(260, 2), false},
		"a reset":                                         {row(200, 2), row(260, 0), false},
		"less than the floor":                             {row(200, 1), row(260, 1.001), false},
		"first sight":                                     {nil, row(260, 2), false},
		"spend that LiteLLM did not tell the time before": {&budget.Row{ReadAt: at(200)}, row(260, 2), false},
	} {
		t.Run(name, func(t *testing.T) {
			var s Watch
			s.Cycle(at(90), true, true)
			s.Cycle(at(105), true, false)
			s.Cycle(at(120), true, false)
			s.Row(c.before, c.now)
			if got := s.Missing(0.01); got != c.missing {
				t.Errorf("missing: %v, want %v", got, c.missing)
			}
			if c.missing {
				want := []budget.Evidence{{Name: "no_counter_seconds", Value: 155}, {Name: "unseen_spend_usd", Value: 1}}
				if got := s.Evidence(at(260)); !slices.Equal(got, want) {
					t.Errorf("evidence %v, want %v", got, want)
				}
			}
			s.Cycle(at(270), true, true)
			if s.Missing(0.01) {
				t.Error("it holds although a counter was found since")
			}
		})
	}
}
