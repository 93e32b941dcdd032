// Package cause tells why the two numbers of an entity part company: which of LiteLLM's failure modes it most likely
// is, how sure that is, and by which numbers. It is pure: no I/O and no clock of its own.
package cause

import (
	"math"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// Facts is what is known of an entity that diverges, at one time.
type Facts struct {
	Now       time.Time
	Release   budget.Release
	Scope     budget.Scope
	Reported  float64 // USD
	Enforced  float64 // USD
	Tolerance float64 // USD
	Counter   budget.Counter
	Cap       budget.Cap

	Immortal  bool                           // without expiry in two readings running
	PinnedFor budget.Optional[time.Duration] // for how long the counter has stood at the cap; unknown while it does not

	RowsStandStill bool     // those of the whole fleet, though several entities spend
	History        *History // nil: nothing but this one look
}

// finding is a cause that was recognised.
type finding struct {
	cause      budget.Cause
	confidence float64
	evidence   []budget.Evidence
}

// recognisers are asked in this order: the first that recognises its failure mode has the word. What is a fact in
// itself comes first, then what an event explains to the cent, then what is told by how the numbers moved.
var recognisers = []func(Facts) (finding, bool){
	immortal,
	negative,
	afterReset,
	afterEdit,
	pinned,
	reseeded,
	nearlyPinned,
	climbing,
	low,
}

// Classify names the most likely cause of a divergence, how sure that is (0 to 1) and the numbers that speak for it.
// What no failure mode explains that can happen in the release in use is budget.Unexplained.
func Classify(f Facts) (budget.Cause, float64, []budget.Evidence) {
	for _, recognise := range recognisers {
		if found, ok := recognise(f); ok {
			return found.cause, found.confidence, append(f.numbers(), found.evidence...)
		}
	}
	return budget.Unexplained, 0, f.numbers()
}

// numbers are the evidence that every verdict carries.
func (f Facts) numbers() []budget.Evidence {
	numbers := []budget.Evidence{{Name: "divergence_usd", Value: f.divergence()}}
	if f.Reported > cent {
		numbers = append(numbers, budget.Evidence{Name: "enforced_by_reported", Value: f.Enforced / f.Reported})
	}
	return numbers
}

func (f Facts) divergence() float64 { return f.Enforced - f.Reported }

// can says whether a cause can occur: an unknown release excludes nothing.
func (f Facts) can(c budget.Cause) bool {
	affected := budget.Affected(f.Release.Version, c)
	return !affected.Known || affected.Value
}

// certainly says that the release in use is known to suffer from a cause.
func (f Facts) certainly(c budget.Cause) bool { return budget.Affected(f.Release.Version, c).Value }

// slack is by how much a divergence may miss an amount that explains it, in USD: what is normal for the entity, but
// never so much that anything would match.
func (f Facts) slack(usd float64) float64 {
	usd = math.Abs(usd)
	return max(0.02*usd, min(f.Tolerance, usd/4))
}

func (f Facts) since(name string, at instant) budget.Evidence {
	return budget.Evidence{Name: name, Value: f.Now.Sub(at.time()).Seconds()}
}

// immortal: LiteLLM writes a counter and its expiry in two steps, and can be cut off in between.
func immortal(f Facts) (finding, bool) {
	return finding{budget.Immortal, 1, []budget.Evidence{{Name: "counter_usd", Value: f.Counter.Value}}}, f.Immortal
}

// negative: no spend is; either side that is was taken from too often.
func negative(f Facts) (finding, bool) {
	isNegative := f.Reported < 0 || value(f.Counter) < 0
	evidence := []budget.Evidence{{Name: "reported_usd", Value: f.Reported}}
	if f.Counter.State == budget.CounterPresent {
		evidence = append(evidence, budget.Evidence{Name: "counter_usd", Value: f.Counter.Value})
	}
	return finding{budget.Negative, 1, evidence}, isNegative
}

// afterReset: the row started again and the counter holds what it held before, all the time or once more.
func afterReset(f Facts) (finding, bool) {
	if f.History == nil || f.History.reset.at == 0 {
		return finding{}, false
	}
	r, d := f.History.reset, f.divergence()
	most := r.reported
	if r.counter > most {
		most = r.counter
	}
	if d < r.reported-f.slack(r.reported) || d > most+f.slack(most) {
		return finding{}, false
	}
	if e := f.History.edit; e.at == r.at && math.Abs(d+e.usd) < math.Abs(d-r.reported) {
		return finding{}, false
	}
	found := finding{budget.StaleAfterReset, 0.95, []budget.Evidence{
		{Name: "reported_before_reset_usd", Value: r.reported}, f.since("seconds_since_reset", r.at),
	}}
	if r.lowest < d/2 {
		found.cause, found.confidence = budget.ResetUndone, 0.9
		found.evidence = append(found.evidence, budget.Evidence{Name: "lowest_counter_since_reset_usd", Value: r.lowest})
	}
	return found, f.can(found.cause)
}

// afterEdit: the row was changed by a step that the counter did not follow. What was spent between the two readings of the
// row is in the step, and what is on its way to it in the divergence: each at most what is usual.
func afterEdit(f Facts) (finding, bool) {
	if f.History == nil || f.History.edit.at == 0 {
		return finding{}, false
	}
	e := f.History.edit
	if math.Abs(f.divergence()+e.usd) > f.slack(e.usd)+min(2*e.usual, math.Abs(e.usd)/4) {
		return finding{}, false
	}
	return finding{budget.ManualSpendEdit, 0.9, []budget.Evidence{
		{Name: "edit_usd", Value: e.usd}, {Name: "reported_before_edit_usd", Value: e.reported}, f.since("seconds_since_edit", e.at),
	}}, f.can(budget.ManualSpendEdit)
}

const (
	// longestFlight is for how long a counter at its cap is taken for requests in flight.
	longestFlight = 10 * time.Minute
	// leased is what the TTL of a counter never falls below while a request in flight renews it.
	leased = 30 * time.Second
)

// pinned: the last reservation was shrunk to what was left, so that the counter stands at the cap.
func pinned(f Facts) (finding, bool) {
	if math.Abs(f.Counter.Value-f.Cap.High) > budget.Noise(f.Cap.High) {
		return finding{}, false
	}
	return nearlyPinned(f)
}

// nearlyPinned: others were settled beside that reservation, or it was for too little, so that the counter stands near to the
// cap. Several copies of the row can come as near by chance, though hardly to the cent: they are asked for first.
func nearlyPinned(f Facts) (finding, bool) {
	if !f.PinnedFor.Known {
		return finding{}, false
	}
	found := finding{budget.PinnedAtCap, 0.95, []budget.Evidence{{Name: "pinned_seconds", Value: f.PinnedFor.Value.Seconds()}}}
	if f.PinnedFor.Value >= longestFlight && !f.leaseHolds() && f.can(budget.ReservationLeak) {
		found.cause, found.confidence = budget.ReservationLeak, 0.8
	}
	return found, f.can(found.cause)
}

// leaseHolds says that a request in flight may keep the counter alive.
func (f Facts) leaseHolds() bool {
	return f.Release.Rules.RenewsLease && f.History != nil && f.History.lasted >= leased-time.Second
}
