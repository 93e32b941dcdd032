package cause

import (
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestNormal(t *testing.T) {
	usd := budget.Some[float64]
	sample := func(seconds, counter float64) budget.Sample {
		return budget.Sample{At: at(seconds), Reported: usd(3), Counter: usd(counter)}
	}
	entity := func(change func(*budget.Entity)) *budget.Entity {
		e := &budget.Entity{
			Reported: usd(3), Counter: budget.Counter{State: budget.CounterPresent, Value: 3.5}, Enforced: usd(3.5), Divergence: usd(0.5), Tolerance: usd(1),
			Cap: budget.Cap{State: budget.CapKnown, Low: 10, High: 10}, ResetAt: budget.Some(at(3600)),
		}
		change(e)
		return e
	}
	same := func(*budget.Entity) {}
	for name, c := range map[string]struct {
		entity  *budget.Entity
		samples []budget.Sample
		want    []State
	}{
		"cold": {entity(func(e *budget.Entity) {
			e.Counter, e.Divergence = budget.Counter{State: budget.CounterAbsent}, usd(0)
		}), nil, []State{Cold}},
		"the counter rose":               {entity(same), []budget.Sample{sample(0, 3), sample(15, 3.5)}, []State{WriteLag}},
		"a reservation was settled":      {entity(same), []budget.Sample{sample(0, 4), sample(15, 3.5)}, []State{InFlight}},
		"both":                           {entity(same), []budget.Sample{sample(0, 3), sample(15, 4), sample(30, 3.5)}, []State{InFlight, WriteLag}},
		"both, long ago":                 {entity(same), []budget.Sample{sample(-120, 3), sample(-105, 4), sample(-90, 3.5)}, nil},
		"more than what is normal":       {entity(func(e *budget.Entity) { e.Divergence = usd(2) }), []budget.Sample{sample(0, 3), sample(15, 5)}, nil},
		"below the row":                  {entity(func(e *budget.Entity) { e.Divergence = usd(-0.5) }), []budget.Sample{sample(0, 3), sample(15, 3.5)}, nil},
		"came back":                      {entity(same), []budget.Sample{{At: at(0), Reported: usd(3)}, sample(15, 3.5)}, nil},
		"a reset is due, at the cap":     {entity(func(e *budget.Entity) { e.Reported, e.ResetAt = usd(10), budget.Some(at(20)) }), nil, []State{ResetPending}},
		"a reset is due, below the cap":  {entity(func(e *budget.Entity) { e.ResetAt = budget.Some(at(20)) }), nil, nil},
		"at the cap, a reset is not due": {entity(func(e *budget.Entity) { e.Reported = usd(10) }), nil, nil},
		"at the cap, and nobody resets it": {entity(func(e *budget.Entity) {
			e.Reported, e.ResetAt = usd(10), budget.Optional[time.Time]{}
		}), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Normal(c.entity, c.samples, at(30)); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	for _, s := range []State{Cold, InFlight, WriteLag, ResetPending} {
		if s.Sentence() == "" {
			t.Errorf("%s has no sentence", s)
		}
	}
}
