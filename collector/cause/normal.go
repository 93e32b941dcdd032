package cause

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// State is something normal that the two numbers of an entity can show. It is no cause, and nothing diverges by it.
type State string

// The states.
const (
	Cold         State = "cold"          // there is no counter
	InFlight     State = "in_flight"     // reservations of requests that are not answered yet
	WriteLag     State = "write_lag"     // spend that is on its way to the row
	ResetPending State = "reset_pending" // the reset is due, and the job that does it has not come by
)

var sentences = map[State]string{
	Cold:         "No counter: LiteLLM has not touched this entity for one counter lifetime (60 s by default), and takes the reported spend at the next request.",
	InFlight:     "Requests in flight hold reservations, which are settled when they are answered.",
	WriteLag:     "Spend is on its way from the counter to the database, which LiteLLM writes every 10 to 15 seconds by default.",
	ResetPending: "The budget is due to be reset, and LiteLLM's job, which runs every ten minutes, has not come by yet: until then refusals are genuine.",
}

// Sentence says what the state means, for a person.
func (s State) Sentence() string { return sentences[s] }

// recently is for how long a movement of the counter tells what is going on.
const recently = time.Minute

// Normal lists what is normal about an entity as judged, given its samples, oldest first.
func Normal(e *budget.Entity, samples []budget.Sample, now time.Time) []State {
	var states []State
	if e.Counter.State == budget.CounterAbsent {
		states = append(states, Cold)
	}
	ahead := e.Counter.State == budget.CounterPresent && e.Divergence.Value > 0 && e.Divergence.Value <= e.Tolerance.Value
	rose, settled := moved(samples, now.Add(-recently))
	if ahead && settled {
		states = append(states, InFlight)
	}
	if ahead && rose {
		states = append(states, WriteLag)
	}
	due := e.ResetAt.Known && !now.Before(e.ResetAt.Value)
	if due && e.Reported.Known && e.Cap.State == budget.CapKnown && e.Cap.ReachedBy(e.Reported.Value) {
		states = append(states, ResetPending)
	}
	return states
}

// moved says whether the counter rose, and whether it fell, as a settled reservation makes it, since a time.
func moved(samples []budget.Sample, since time.Time) (rose, fell bool) {
	for i := 1; i < len(samples); i++ {
		before, now := samples[i-1].Counter, samples[i].Counter
		if samples[i].At.Before(since) || !before.Known || !now.Known {
			continue
		}
		rose = rose || now.Value > before.Value
		fell = fell || now.Value < before.Value
	}
	return rose, fell
}
