package budget

import (
	"testing"
	"time"
)

func TestCap(t *testing.T) {
	now := epoch
	usd := Some[float64]
	linked := func(max Optional[float64]) BudgetLink {
		return BudgetLink{State: LinkTo, BudgetID: "b", Budget: Some(LinkedBudget{ID: "b", MaxBudget: max})}
	}
	exactly := func(c float64) Cap { return Cap{State: CapKnown, Low: c, High: c} }
	increase := func(expiry time.Duration, noZone bool) TemporaryIncrease {
		return TemporaryIncrease{USD: 5, ExpiresAt: now.Add(expiry), NoZone: noZone}
	}
	for name, c := range map[string]struct {
		row     Row
		release string
		budgets map[string]LinkedBudget
		want    Cap
	}{
		"own":                          {row: Row{MaxBudget: usd(10), Link: BudgetLink{State: LinkNone}}, want: exactly(10)},
		"own, link unread":             {row: Row{MaxBudget: usd(10)}, want: exactly(10)},
		"own wins over a lower linked": {row: Row{MaxBudget: usd(10), Link: linked(usd(7))}, want: exactly(10)},
		"0 is a cap":                   {row: Row{MaxBudget: usd(0)}, want: exactly(0)},
		"none":                         {row: Row{Link: BudgetLink{State: LinkNone}}, want: Cap{State: CapUnlimited}},
		"none, link unread":            {row: Row{}, want: Cap{}},
		"linked, in the row":           {row: Row{Link: linked(usd(7))}, want: exactly(7)},
		"linked without a cap":         {row: Row{Link: linked(Optional[float64]{})}, want: Cap{State: CapUnlimited}},
		"linked, not loaded":           {row: Row{Link: BudgetLink{State: LinkTo, BudgetID: "b"}}, want: Cap{}},
		"linked, from the list": {
			row:     Row{Link: BudgetLink{State: LinkTo, BudgetID: "b"}},
			budgets: map[string]LinkedBudget{"b": {ID: "b", MaxBudget: usd(8)}},
			want:    exactly(8),
		},
		"linked, the list wins": {
			row:     Row{Link: linked(usd(7))},
			budgets: map[string]LinkedBudget{"b": {ID: "b", MaxBudget: usd(8)}},
			want:    exactly(8),
		},
		"linked, not in the list": {
			row:     Row{Link: linked(usd(7))},
			budgets: map[string]LinkedBudget{"other": {ID: "other", MaxBudget: usd(8)}},
			want:    exactly(7),
		},
		"temporary increase":         {row: Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, false)}, want: exactly(15)},
		"temporary increase expired": {row: Row{MaxBudget: usd(10), TempIncrease: increase(0, false)}, want: exactly(10)},
		"an increase of no cap":      {row: Row{Link: BudgetLink{State: LinkNone}, TempIncrease: increase(time.Hour, false)}, want: Cap{State: CapUnlimited}},
		"no zone is UTC from 1.94.3": {row: Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, true)}, release: "1.94.3", want: exactly(15)},
		"no zone before, near the expiry": {
			row: Row{MaxBudget: usd(10), TempIncrease: increase(time.Hour, true)}, release: "1.93.0",
			want: Cap{State: CapKnown, Low: 10, High: 15},
		},
		"no zone before, 14 h past it": {
			row: Row{MaxBudget: usd(10), TempIncrease: increase(-14*time.Hour, true)}, release: "1.93.0",
			want: exactly(10),
		},
		"no zone before, more than 14 h to go": {
			row: Row{MaxBudget: usd(10), TempIncrease: increase(14*time.Hour+1, true)}, release: "1.93.0",
			want: exactly(15),
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := NewJudge(Params{})
			j.SetRelease(ReleaseOf(c.release))
			j.SetBudgets(c.budgets)
			if got := j.capOf(&c.row, now); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCapBoundary(t *testing.T) {
	for _, c := range []struct {
		cap, spend     float64
		reached, below bool
	}{
		{10, 10, true, false},
		{10, 9.9999999999, true, false}, // a counter pinned by a shrunk reservation
		{5, 4.9999999999999998, true, false},
		{10, 9.9999, false, true},
		{1e12, 1e12 - 1, true, false},
		{0, 0, true, false},
	} {
		k := Cap{State: CapKnown, Low: c.cap, High: c.cap}
		if k.reachedBy(c.spend) != c.reached || k.above(c.spend) != c.below {
			t.Errorf("cap %v, spend %v: reached %v, below %v", c.cap, c.spend, k.reachedBy(c.spend), k.above(c.spend))
		}
	}
}
