package budget

import "testing"

func TestFleetOf(t *testing.T) {
	known := func(v Verdict, c Cause, reported, enforced float64) *Entity {
		return &Entity{
			Reported: Some(reported), Enforced: Some(enforced), Divergence: Some(enforced - reported),
			Cap: Cap{State: CapKnown, Low: 10, High: 10}, Counter: Counter{State: CounterPresent},
			Verdict: v, Cause: c,
		}
	}
	entities := []*Entity{
		known(FalselyLocked, Unexplained, 3, 11),
		known(Bypassed, Negative, 12, 1),
		known(Diverging, Unexplained, 3, 5),
		known(OK, NoCause, 2, 2),
		{Reported: Some(1.0)},                                               // cap and counter not read
		{Reported: Some(0.0), Cap: Cap{State: CapKnown, Low: 10, High: 15}}, // a temporary increase in doubt
		{Enforced: Some(4.0), Cap: Cap{State: CapUnlimited}, Counter: Counter{State: CounterPresent}}, // LiteLLM sent null
	}

	t.Run("both sides", func(t *testing.T) {
		f := FleetOf(entities, true)
		if f.Entities != 7 || f.CapUnknown != 2 || f.FalselyLocked != Some(1) || f.Bypassed != Some(1) || f.CountersPresent != Some(5) {
			t.Errorf("counts: %+v", f)
		}
		if f.ReportedSum != Some(21.0) || f.EnforcedSum != Some(23.0) || f.DivergenceMax != Some(8.0) || f.DivergenceMin != Some(-11.0) {
			t.Errorf("amounts: %+v", f)
		}
		if len(f.Diverging) != len(Causes) || f.Diverging[Unexplained] != 2 || f.Diverging[Negative] != 1 || f.Diverging[DoubleApply] != 0 {
			t.Errorf("causes: %v", f.Diverging)
		}
	})
	t.Run("the reported side only", func(t *testing.T) {
		f := FleetOf(entities, false)
		if f.ReportedSum != Some(21.0) || f.Entities != 7 {
			t.Errorf("%+v", f)
		}
		if f.FalselyLocked.Known || f.Bypassed.Known || f.Diverging != nil || f.EnforcedSum.Known || f.DivergenceMax.Known ||
			f.DivergenceMin.Known || f.CountersPresent.Known {
			t.Errorf("it tells what is not known: %+v", f)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		f := FleetOf(nil, true)
		if f.DivergenceMax.Known || f.EnforcedSum != Some(0.0) || f.FalselyLocked != Some(0) {
			t.Errorf("%+v", f)
		}
	})
}
