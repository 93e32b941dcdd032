package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// widestOffset is the largest difference between UTC and a local time.
const widestOffset = 14 * time.Hour

// capOf is the cap in force of an entity at a time.
func (j *Judge) capOf(r *budget.Row, now time.Time) budget.Cap {
	base := r.MaxBudget
	if !base.Known {
		switch r.Link.State {
		case budget.LinkUnread:
			return budget.Cap{}
		case budget.LinkNone:
			return budget.Cap{State: budget.CapUnlimited}
		case budget.LinkTo:
			linked := j.linkedBudget(r)
			if !linked.Known {
				return budget.Cap{}
			}
			base = linked.Value.MaxBudget
		}
	}
	if !base.Known {
		return budget.Cap{State: budget.CapUnlimited}
	}
	c := budget.Cap{State: budget.CapKnown, Low: base.Value, High: base.Value}
	inc := r.TempIncrease
	if inc.USD == 0 {
		return c
	}
	doubt := time.Duration(0)
	if inc.NoZone && !j.release.Rules.NaiveExpiryIsUTC {
		doubt = widestOffset
	}
	raised := base.Value + inc.USD
	switch {
	case now.Before(inc.ExpiresAt.Add(-doubt)):
		c.Low, c.High = raised, raised
	case now.Before(inc.ExpiresAt.Add(doubt)):
		c.Low, c.High = min(base.Value, raised), max(base.Value, raised)
	}
	return c
}

// linkedBudget is the budget that a row is linked to: as the list of budgets has it, for an edit of a budget does
// not touch the rows that are linked to it; else as the row's own answer had it.
func (j *Judge) linkedBudget(r *budget.Row) budget.Optional[budget.LinkedBudget] {
	if listed, ok := j.budgets[r.Link.BudgetID]; ok {
		return budget.Some(listed)
	}
	return r.Link.Budget
}

// resetOf is the next reset of an entity: its own, else its linked budget's.
func (j *Judge) resetOf(r *budget.Row) budget.Optional[time.Time] {
	if r.ResetAt.Known || r.Link.State != budget.LinkTo {
		return r.ResetAt
	}
	return j.linkedBudget(r).Value.ResetAt
}
