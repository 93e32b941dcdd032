package judgement

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestCap(t *testing.T) {
	now := epoch
	usd := budget.Some[float64]
	linked := func(max budget.Optional[float64]) budget.BudgetLink {
		return budget.BudgetLink{State: budget.LinkTo, BudgetID: "b", Budget: budget.Some(budget.LinkedBudget{ID: "b", MaxBudget: max})}
	}
	exactly := func(c float64) budget.Cap { return budget.Cap{State: budget.CapKnown, Low: c, High: c} }
	increase := func(expiry time.Duration, noZone bool) budget.TemporaryIncrease {
		return budget.TemporaryIncrease{USD: 5, ExpiresAt: now.Add(expiry), NoZone: noZone}
	}
	for name, c := range map[string]struct {
		row     budget.Row
		release string
		budgets map[string]budget.LinkedBudget
		want    budget.Cap
	}{
		"own":                          {row: budget.Row{MaxBudget: usd(10), Link: budget.BudgetLink{State: budget.LinkNone}}, want: exactly(10)},
		"own, link unread":             {row: budget.Row{MaxBudget: usd(10)}, want: exactly(10)},
		"own wins over a lower linked": {row: budget.Row{MaxBudget: usd(10), Link: linked(usd(7))}, want: exactly(10)},
		"0 is a cap":                   {row: budget.Row{MaxBudget: usd(0)}, want: exactly(0)},
		"none":                         {row: budget.Row{Link: budget.BudgetLink{State: budget.LinkNone}}, want: budget.Cap{State: budget.CapUnlimited}},
		"none, link unread":            {row: budget.Row{}, want: budget.Cap{}},
		"linked, in the row":           {row: budget.Row{Link: linked(usd(7))}, want: exactly(7)},
		"linked without a cap":         {row: budget.Row{Link: linked(budget.Optional[float64]{})}, want: budget.Cap{State: budget.CapUnlimited}},
		"linked, not loaded":           {row: budget.Row{Link: budget.BudgetLink{State: budget.LinkTo, BudgetID: "b"}}, want: budget.Cap{}},
		"linked, from the list": {
			row:     budget.Row{Link: budget.BudgetLink{State: budget.LinkTo, BudgetID: "b"}},
			budgets: map[string]budget.LinkedBudget{"b": {ID: "b", MaxBudget: usd(8)}},
			want:    exactly(8),
		},
		"linked, the list wins": {
			row:     budget.Row{Link: linked(usd(7))},
			budgets: map[string]budget.LinkedBudget{"b": {ID: "b", MaxBudget: usd(8)}},
			want:    exactly(8),
		},
		"linked, not in the list": {
			row:     budget.Row{Link: linked(usd(7))},
			budgets: map[string]budget.LinkedBudget{"other": {ID: "other", MaxBudget: usd(8)}},
			want:    exactly(7),
		},
		"temporary increase":         {row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, false)}, want: exactly(15)},
		"temporary increase expired": {row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(0, false)}, want: exactly(10)},
		"an increase of no cap":      {row: budget.Row{Link: budget.BudgetLink{State: budget.LinkNone}, TempIncrease: increase(time.Hour, false)}, want: budget.Cap{State: budget.CapUnlimited}},
		"no zone is UTC from 1.94.3": {row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, true)}, release: "1.94.3", want: exactly(15)},
		"no zone before, near the expiry": {
			row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, true)}, release: "1.93.0",
			want: budget.Cap{State: budget.CapKnown, Low: 10, High: 15},
		},
		"no zone before, 14 h past it": {
			row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(-14*time.Hour, true)}, release: "1.93.0",
			want: exactly(10),
		},
		"no zone before, more than 14 h to go": {
			row: budget.Row{MaxBudget: usd(10), TempIncrease: increase(14*time.Hour+1, true)}, release: "1.93.0",
			want: exactly(15),
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := New(Params{})
			j.SetRelease(budget.ReleaseOf(c.release))
			j.SetBudgets(c.budgets)
			if got := j.capOf(&c.row, now); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
