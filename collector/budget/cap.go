package budget

import (
	"math"
	"time"
)

// CapState says what is known of a cap.
type CapState uint8

// The states of a cap.
const (
	CapUnknown   CapState = iota // not yet read: not the same as unlimited
	CapUnlimited                 // there is none
	CapKnown                     // Low and High are valid
)

// Cap is the cap in force: max_budget, else the linked budget's, plus an unexpired temporary increase
// (LiteLLM 1.82.6 to 1.109.1). Low and High (USD) differ only where it cannot be seen whether a temporary
// increase is still in force; then no verdict that depends on it is given.
type Cap struct {
	State CapState
	Low   float64
	High  float64
}

// Exact is the cap in USD where it is a single known number.
func (c Cap) Exact() Optional[float64] {
	if c.State != CapKnown || c.Low != c.High {
		return Optional[float64]{}
	}
	return Some(c.Low)
}

// reachedBy says that a spend is at the cap or above it, whichever end of the cap is in force. A counter
// pinned at its cap misses it by float noise.
func (c Cap) reachedBy(spend float64) bool { return spend >= c.High-capNoise(c.High) }

// above says that a spend is below the cap, whichever end of the cap is in force.
func (c Cap) above(spend float64) bool { return spend < c.Low-capNoise(c.Low) }

// pins says that a counter stands exactly at the cap, float noise aside.
func (c Cap) pins(counter float64) bool {
	return c.State == CapKnown && c.Low == c.High && math.Abs(counter-c.High) <= capNoise(c.High)
}

// blocksByIntent says that the cap is 0: a deliberate block, not a budget that anybody could be locked out of falsely.
func (c Cap) blocksByIntent() bool { return c.State == CapKnown && c.High <= 0 }

func (c Cap) atLow() Cap  { return Cap{State: c.State, Low: c.Low, High: c.Low} }
func (c Cap) atHigh() Cap { return Cap{State: c.State, Low: c.High, High: c.High} }

func capNoise(cap float64) float64 { return 1e-9 * max(1, math.Abs(cap)) }

// widestOffset is the largest difference between UTC and a local time.
const widestOffset = 14 * time.Hour

// capOf is the cap in force of an entity at a time.
func (j *Judge) capOf(r *Row, now time.Time) Cap {
	base := r.MaxBudget
	if !base.Known {
		switch r.Link.State {
		case LinkUnread:
			return Cap{}
		case LinkNone:
			return Cap{State: CapUnlimited}
		case LinkTo:
			linked := j.linkedBudget(r)
			if !linked.Known {
				return Cap{}
			}
			base = linked.Value.MaxBudget
		}
	}
	if !base.Known {
		return Cap{State: CapUnlimited}
	}
	c := Cap{State: CapKnown, Low: base.Value, High: base.Value}
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
func (j *Judge) linkedBudget(r *Row) Optional[LinkedBudget] {
	if listed, ok := j.budgets[r.Link.BudgetID]; ok {
		return Some(listed)
	}
	return r.Link.Budget
}

// resetOf is the next reset of an entity: its own, else its linked budget's.
func (j *Judge) resetOf(r *Row) Optional[time.Time] {
	if r.ResetAt.Known || r.Link.State != LinkTo {
		return r.ResetAt
	}
	return j.linkedBudget(r).Value.ResetAt
}
