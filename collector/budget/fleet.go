package budget

// FleetOf sums up all entities of one scope. judged says that their counters are read, so that what is made from
// both sides is known.
func FleetOf(entities []*Entity, judged bool) Fleet {
	f := Fleet{Entities: len(entities)}
	reported, enforced := 0.0, 0.0
	locked, bypassed, present := 0, 0, 0
	diverging := make(map[Cause]int, len(Causes))
	for _, c := range Causes {
		diverging[c] = 0
	}
	for _, e := range entities {
		if e.Cap.State != CapUnlimited && !e.Cap.Exact().Known {
			f.CapUnknown++
		}
		reported += e.Reported.Value
		enforced += e.Enforced.Value
		if e.Counter.State == CounterPresent {
			present++
		}
		if d := e.Divergence; d.Known {
			if !f.DivergenceMax.Known || d.Value > f.DivergenceMax.Value {
				f.DivergenceMax = d
			}
			if !f.DivergenceMin.Known || d.Value < f.DivergenceMin.Value {
				f.DivergenceMin = d
			}
		}
		switch e.Verdict {
		case FalselyLocked:
			locked++
		case Bypassed:
			bypassed++
		}
		if e.Cause != NoCause {
			diverging[e.Cause]++
		}
	}
	f.ReportedSum = Some(reported)
	if judged {
		f.EnforcedSum = Some(enforced)
		f.FalselyLocked, f.Bypassed, f.CountersPresent = Some(locked), Some(bypassed), Some(present)
		f.Diverging = diverging
	} else {
		f.DivergenceMax, f.DivergenceMin = Optional[float64]{}, Optional[float64]{}
	}
	return f
}
