package cause

import (
	"math"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// eventFor is for how long a reset, or the return of a counter, is what came right before something.
	eventFor = 2 * time.Minute
	// A climb that is at least so many times what was spent meanwhile is none of requests counted twice, and one that
	// is at most so many times as much is none of reservations.
	leakTimes, doubleTimes = 2, 1.5
	// leastSteps is the least that a climb must be as a multiple of its largest step: less is a single jump.
	leastSteps = 1.5
	// floodFor is for how long a flood of requests that begins can climb as reservations do that are never given back.
	floodFor = 5 * time.Minute
)

// climbing: the counter rises by more than is spent. Reservations that are never settled make it climb in steps that
// have nothing to do with the row; requests that are counted twice make it climb at the pace of the spending.
func climbing(f Facts) (finding, bool) {
	h, d := f.History, f.divergence()
	// What does not reach any row may be on its way to all of them; and if it never does, the counter is right.
	if h == nil || d <= 0 || f.RowsStandStill || h.stalled {
		return finding{}, false
	}
	for _, c := range []climb{h.climbFromCalm(), h.climbInSamples()} {
		if found, ok := f.climbed(c); ok {
			return found, true
		}
	}
	return finding{}, false
}

// climb is how the counter got away from the row.
type climb struct {
	since   instant
	from    sample
	steps   int     // in which the counter rose since
	largest float64 // USD, of the steps
}

// climbed names what makes a counter climb like that.
func (f Facts) climbed(c climb) (finding, bool) {
	from, steps := c.from, c.steps
	climbed, spent := f.divergence()-from.distance(), f.Reported-from.reported
	if climbed < f.divergence()/2 || spent < -cent || climbed < leastSteps*c.largest {
		return finding{}, false
	}
	evidence := []budget.Evidence{
		{Name: "steps", Value: float64(steps)}, {Name: "climbed_usd", Value: climbed}, {Name: "spent_meanwhile_usd", Value: spent},
		f.since("climbing_seconds", c.since),
	}
	capped := f.Cap.State != budget.CapUnlimited // requests reserve where there is a cap only
	switch {
	case capped && f.can(budget.ReservationLeak) && steps >= 2 && climbed >= leakTimes*spent:
		confidence := min(0.5+0.1*float64(steps), 0.9)
		if f.Now.Sub(c.since.time()) < floodFor {
			confidence = 0.6
		}
		return finding{budget.ReservationLeak, confidence, evidence}, true
	case f.can(budget.DoubleApply) && steps >= 3 && spent > cent && climbed <= doubleTimes*spent:
		return finding{budget.DoubleApply, 0.6, evidence}, true
	}
	return finding{}, false
}

// climbFromCalm tells of every reading since the two sides last agreed, or since the first.
func (h *History) climbFromCalm() climb {
	c := h.calm
	return climb{c.at, sample{reported: c.reported, counter: c.counter}, c.rises, c.largest}
}

// climbInSamples tells of the samples since the two sides were nearest to each other: less than single readings do, but
// from before an agreement that was one only by the tolerance of that time.
func (h *History) climbInSamples() climb {
	recent, nearest := h.recent(), 0
	for i, s := range recent {
		if s.distance() < recent[nearest].distance() {
			nearest = i
		}
	}
	c := climb{since: instantOf(h.at(recent[nearest].at)), from: recent[nearest]}
	for i := nearest + 1; i < len(recent); i++ {
		before, now := recent[i-1], recent[i]
		if now.counter > before.counter+cent || math.IsNaN(before.counter) && now.distance() > cent {
			c.steps++
		}
		c.largest = max(c.largest, now.distance()-before.distance())
	}
	return c
}

// low: the counter stands below the row.
func low(f Facts) (finding, bool) {
	h := f.History
	if h == nil || f.divergence() >= 0 {
		return finding{}, false
	}
	fell := h.fall
	evidence := []budget.Evidence{{Name: "counter_after_usd", Value: fell.to}, {Name: "reported_usd", Value: fell.reported}, f.since("seconds_since_fall", fell.at)}
	if !math.IsNaN(fell.from) {
		evidence = append(evidence, budget.Evidence{Name: "counter_before_usd", Value: fell.from})
	}
	switch {
	case fell.at == 0:
	case f.can(budget.CounterRestart) && (h.restarts >= 2 || h.restarts == 1 && f.certainly(budget.CounterRestart)):
		evidence = append(evidence, budget.Evidence{Name: "restarts", Value: float64(h.restarts)})
		return finding{budget.CounterRestart, min(0.5+0.2*float64(h.restarts), 0.9), evidence}, true
	case h.resetFailed():
		return finding{}, false
	case fell.fleetWide() && !h.justReset(fell.at) && f.canLose():
		evidence = append(evidence, budget.Evidence{Name: "counters_fallen", Value: float64(fell.fell)},
			budget.Evidence{Name: "counters_read", Value: float64(fell.counted)})
		return finding{budget.CounterLost, fell.confidence(), evidence}, true
	}
	switch {
	case h.onset:
	case f.can(budget.GhostRefund) && (h.justReset(h.calm.at) || h.justCameBack(h.calm.at)):
		return finding{budget.GhostRefund, 0.7, []budget.Evidence{{Name: "refund_usd", Value: -f.divergence()}, f.since("seconds_since_agreement", h.calm.at)}}, true
	case (fell.at < h.calm.at || fell.late || fell.slight()) && f.can(budget.Undercount):
		return finding{budget.Undercount, 0.6, []budget.Evidence{
			{Name: "spent_since_agreement_usd", Value: f.Reported - h.calm.reported}, f.since("seconds_since_agreement", h.calm.at),
		}}, true
	}
	return finding{}, false
}

// canLose says whether a counter that is too low is believed: nothing raises that of an entity without a cap, whatever
// the release.
func (f Facts) canLose() bool { return f.Cap.State == budget.CapUnlimited || f.can(budget.CounterLost) }

// resetFailed says that the counter was set to 0 while its reset was due and the row stayed: a reset that failed
// half-way (BerriAI/litellm #27730, #29358). That is no cause of the list, and none of the others.
func (h *History) resetFailed() bool {
	return h.fall.to <= nearZero*h.fall.reported && h.due != 0 && h.fall.at >= h.due
}

// fleetWide says that most counters fell in one reading, or a good part of many. Of a counter that was not seen to
// fall, because it came back or its entity is new, or that fell by little, several are needed: Redis is but one of
// the reasons for one.
func (f fall) fleetWide() bool {
	seen := !f.begun && !math.IsNaN(f.from)
	return seen && !f.slight() && f.fell*2 > f.counted || f.fell >= 3 && f.fell*10 >= f.counted
}

// short is by how much it left the counter below the row, in USD.
func (f fall) short() float64 { return f.reported - f.to }

// slight says that the counter was seen to fall by no more than the cost of some requests can be.
func (f fall) slight() bool { return !f.begun && f.from-f.to < f.reported/10 }

// confidence in that it was Redis that lost them: a single counter proves little.
func (f fall) confidence() float64 { return min(0.3+0.2*float64(f.fell), 0.9) }

func (h *History) justReset(at instant) bool { return near(h.reset.at, at) }

func (h *History) justCameBack(at instant) bool { return near(h.seed.at, at) }

func near(event, at instant) bool { return event != 0 && at.time().Sub(event.time()).Abs() <= eventFor }
