package judgement

import (
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestEnforcedSpend(t *testing.T) {
	usd := budget.Some[float64]
	unknown := budget.Optional[float64]{}
	present := func(v float64) budget.Counter { return budget.Counter{State: budget.CounterPresent, Value: v} }
	cap10 := budget.Cap{State: budget.CapKnown, Low: 10, High: 10}
	doubtful := budget.Cap{State: budget.CapKnown, Low: 10, High: 15}
	for name, c := range map[string]struct {
		release    string
		reported   budget.Optional[float64]
		counter    budget.Counter
		cap        budget.Cap
		guardFails bool
		want       budget.Optional[float64]
	}{
		"cold":                                {"1.84.0", usd(3), budget.Counter{State: budget.CounterAbsent}, cap10, false, usd(3)},
		"cold, reported unknown":              {"1.84.0", unknown, budget.Counter{State: budget.CounterAbsent}, cap10, false, unknown},
		"not read":                            {"1.84.0", usd(3), budget.Counter{}, cap10, false, unknown},
		"unreadable":                          {"1.84.0", usd(3), budget.Counter{State: budget.CounterUnreadable}, cap10, false, unknown},
		"no counters up to 1.82.6":            {"1.82.6", usd(3), present(9), cap10, false, usd(3)},
		"before 1.90.0 the counter":           {"1.88.0", usd(17), present(6), cap10, false, usd(6)},
		"before 1.90.0 without a row":         {"1.88.0", unknown, present(6), cap10, false, usd(6)},
		"from 1.90.0 the larger":              {"1.90.0", usd(17), present(6), cap10, false, usd(17)},
		"from 1.90.0 below the cap":           {"1.90.0", usd(3), present(6), cap10, false, usd(6)},
		"from 1.90.0 at the cap the counter":  {"1.90.0", usd(17), present(10), cap10, false, usd(10)},
		"from 1.90.0, the guard does not act": {"1.90.0", usd(17), present(6), cap10, true, usd(6)},
		"from 1.90.0 without a cap":           {"1.90.0", usd(17), present(6), budget.Cap{State: budget.CapUnlimited}, false, usd(6)},
		"from 1.90.0, cap unknown, higher":    {"1.90.0", usd(3), present(6), budget.Cap{}, false, usd(6)},
		"from 1.90.0, cap unknown, equal":     {"1.90.0", usd(6), present(6), budget.Cap{}, false, usd(6)},
		"from 1.90.0, cap unknown, lower":     {"1.90.0", usd(17), present(6), budget.Cap{}, false, unknown},
		"from 1.90.0, reported unknown":       {"1.90.0", unknown, present(6), cap10, false, unknown},
		"cap in doubt, counter between":       {"1.93.0", usd(17), present(12), doubtful, false, unknown},
		"cap in doubt, counter below both":    {"1.93.0", usd(17), present(6), doubtful, false, usd(17)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := enforcedSpend(budget.ReleaseOf(c.release).Rules, c.reported, c.counter, c.cap, c.guardFails); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
