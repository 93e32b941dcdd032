package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// stillRising is how long a counter must go on rising below a cap that its row has reached, beyond a write
// lag, before it is believed that LiteLLM does not raise it: the guard acts within the 60 s for which LiteLLM
// caches a row.
const stillRising = 60 * time.Second

// enforcedSpend is the number that the next admission check will compare with the budget. guardFails says
// that the counter was seen rising on for too long for LiteLLM's stale-low guard to be at work.
func enforcedSpend(rules budget.Rules, reported budget.Optional[float64], c budget.Counter, cap budget.Cap, guardFails bool) budget.Optional[float64] {
	switch {
	case c.State == budget.CounterAbsent, !rules.Counters && c.State == budget.CounterPresent:
		return reported
	case c.State != budget.CounterPresent:
		return budget.Optional[float64]{}
	case !rules.RaisesStaleLow, cap.State == budget.CapUnlimited, guardFails:
		return budget.Some(c.Value)
	case cap.State == budget.CapKnown && cap.ReachedBy(c.Value):
		return budget.Some(c.Value)
	case !reported.Known:
		return budget.Optional[float64]{}
	case c.Value >= reported.Value:
		return budget.Some(c.Value)
	case cap.State == budget.CapKnown && cap.Above(c.Value):
		return reported
	}
	return budget.Optional[float64]{} // below the row, and whether LiteLLM raises it depends on a cap that is not known
}

// guard watches whether a counter goes on rising below a cap that the row has reached.
type guard struct {
	risingSince time.Time
	lastRise    time.Time
}

func (g *guard) observe(before, now budget.Counter, reported budget.Optional[float64], cap budget.Cap) {
	low := now.State == budget.CounterPresent && before.State == budget.CounterPresent && reported.Known &&
		cap.State == budget.CapKnown && cap.ReachedBy(reported.Value) && cap.Above(now.Value)
	switch {
	case !low || now.Value < before.Value:
		*g = guard{}
	case now.Value > before.Value:
		if g.risingSince.IsZero() {
			g.risingSince = before.ReadAt
		}
		g.lastRise = now.ReadAt
	case now.ReadAt.Sub(g.lastRise) > stillRising:
		*g = guard{}
	}
}

func (g *guard) fails(lag time.Duration) bool {
	return !g.risingSince.IsZero() && g.lastRise.Sub(g.risingSince) > stillRising+lag
}
