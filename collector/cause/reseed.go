package cause

import (
	"math"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// mostCopies is more worker processes than anybody runs; above it every ratio is near some integer.
	mostCopies = 64
	// nearInteger is the farthest that a ratio may lie from an integer.
	nearInteger = 0.05
	// exactInteger is how near it is where nothing was spent since: one ratio in a hundred is so by chance.
	exactInteger = 0.005
	// Where the counter was seen to come back with a multiple, it may hold as much more as was spent until it was
	// read: a fraction of the ratio, up to a bound. Where it was not, so much would make a third of all ratios fit.
	nearIntegerFraction = 0.02
	nearIntegerAtMost   = 0.2
)

// reseeded: several workers found no counter at once, and each added what the row said, so that the counter holds the
// spend N times (BerriAI/litellm #27735, #28247).
func reseeded(f Facts) (finding, bool) {
	d := f.divergence()
	if d <= 0 || !f.can(budget.ReseedMultiple) {
		return finding{}, false
	}
	h := f.History
	if h == nil {
		return f.multipleAtOneLook()
	}
	if found, ok := f.multipleAtSeed(h.seed.reported, 0.95); ok {
		return found, true
	}
	if found, ok := f.multipleAtSeed(h.seed.held, 0.7); ok { // reservations of one size would look the same
		return found, true
	}
	switch {
	case h.jump.at != 0 && math.Abs(d-h.jump.usd) <= f.slack(h.jump.usd):
		return f.multipleOf(h.jump.reported, h.jump.usd/h.jump.reported+1, seenComing, 0.8,
			budget.Evidence{Name: "jump_usd", Value: h.jump.usd}, f.since("seconds_since_jump", h.jump.at))
	case h.onset && h.calm.rises < 2:
		return f.multipleUnseen()
	}
	return finding{}, false
}

// multipleAtSeed: the counter came back with several times a spend, and that makes up the divergence. It is as sure as can
// be once that was seen to stay as it is.
func (f Facts) multipleAtSeed(spend, confidence float64) (finding, bool) {
	seed, d := f.History.seed, f.divergence()
	if !(seed.usd >= 1.8*spend && math.Abs(seed.usd-spend-d) <= max(f.slack(d), spend/4)) {
		return finding{}, false
	}
	if !f.History.flat(f, seed.at) {
		confidence -= 0.1
	}
	return f.multipleOf(spend, d/spend+1, seenComing, confidence,
		budget.Evidence{Name: "counter_at_seed_usd", Value: seed.usd}, f.since("seconds_since_seed", seed.at))
}

// multipleAtOneLook: an idle entity whose counter is a multiple of its row.
func (f Facts) multipleAtOneLook() (finding, bool) {
	return f.multipleOf(f.Reported, f.Enforced/f.Reported, unseen, f.unseenConfidence(f.Enforced/f.Reported, 0.5))
}

// unseenConfidence is higher for a multiple so exact that chance hardly makes one, in a release that is known to; the more
// so the longer the divergence stays as it is: reservations would be settled, and what leaks would climb.
func (f Facts) unseenConfidence(times, confidence float64) float64 {
	if math.Abs(times-math.Round(times)) > exactInteger || !f.certainly(budget.ReseedMultiple) {
		return confidence
	}
	switch flat := f.flatFor(); {
	case flat >= 5*time.Minute:
		return max(confidence, 0.85)
	case flat >= time.Minute:
		return max(confidence, 0.8)
	}
	return max(confidence, 0.75)
}

// flatFor is for how long the divergence has stayed as it is.
func (f Facts) flatFor() time.Duration {
	since := f.Now
	if f.History == nil {
		return 0
	}
	for _, s := range slices.Backward(f.History.samples) {
		if d := s.counter - s.reported; !(math.Abs(d-f.divergence()) <= f.slack(f.divergence())) {
			break
		}
		since = f.History.at(s.at)
	}
	return f.Now.Sub(since)
}

// multipleUnseen: what happened before the first sight. Where the divergence stays the same while the row grows, it is a
// multiple of a spend that the row once had.
func (f Facts) multipleUnseen() (finding, bool) {
	h := f.History
	if f.Reported <= h.samples[0].reported+cent {
		confidence := 0.5
		if h.flat(f, 0) && f.Now.Sub(h.at(h.samples[0].at)) >= time.Minute {
			confidence = 0.6
		}
		return f.multipleOf(f.Reported, f.Enforced/f.Reported, unseen, f.unseenConfidence(f.Enforced/f.Reported, confidence))
	}
	if len(h.recent()) < 3 || !h.flat(f, 0) {
		return finding{}, false
	}
	spend := h.samples[0].reported
	times := f.divergence()/spend + 1
	return f.multipleOf(spend, times, unseen, f.unseenConfidence(times, 0.7))
}

// How far a ratio may lie from an integer.
func unseen(float64) float64 { return nearInteger }
func seenComing(times float64) float64 {
	return min(max(nearInteger, nearIntegerFraction*times), nearIntegerAtMost)
}

// multipleOf says that the counter holds a spend that the row had so many times, if that is about an integer.
func (f Facts) multipleOf(spend, times float64, within func(float64) float64, confidence float64, evidence ...budget.Evidence) (finding, bool) {
	n := math.Round(times)
	near := within(times)
	if !(spend > cent) || n < 2 || n > mostCopies || math.Abs(times-n) > near {
		return finding{}, false
	}
	evidence = append([]budget.Evidence{
		{Name: "copies", Value: n}, {Name: "reported_at_seed_usd", Value: spend}, {Name: "measured_copies", Value: times},
	}, evidence...)
	return finding{budget.ReseedMultiple, confidence, evidence}, true
}

// flat says that the divergence stayed as it is since a time, in two samples or more.
func (h *History) flat(f Facts, since instant) bool {
	lowest, highest, n := math.Inf(1), math.Inf(-1), 0
	for _, s := range h.recent() {
		if d := s.counter - s.reported; !math.IsNaN(d) && s.at >= h.ticks(since.time()) {
			lowest, highest, n = min(lowest, d), max(highest, d), n+1
		}
	}
	return n >= 2 && highest-lowest <= f.slack(f.divergence())
}
