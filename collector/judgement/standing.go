package judgement

import (
	"math"
	"time"
)

const (
	// standingFor is for how long a lead is looked at to tell what it does not fall below.
	standingFor = 150 * time.Second
	// standsFor is for how long that is remembered, at least.
	standsFor = 30 * time.Minute
	// grownTo is by how many times a lead must exceed what it has stood at to have grown.
	grownTo = 1.5
)

// standing is what a lead has stood at without coming back and without growing: what requests of traffic that never pauses
// reserve, taken over by the next as each is settled. What leaks, or is counted twice, grows; what jumps has not stood.
type standing struct {
	since time.Time // the time under way began
	most  float64   // USD, of the leads for a minute on end in it
	known time.Time // the first time ended

	period time.Time // the period under way began
	least  float64   // USD, of the times that ended in it; +Inf if none did
	before float64   // USD, of those of the period before
}

// lead takes in by how much the counter was ahead of the row for a minute on end, in USD.
func (s *standing) lead(usd float64, at time.Time) {
	if s.since.IsZero() {
		*s = standing{since: at, period: at, least: math.Inf(1), before: math.Inf(1)}
	}
	s.most = max(s.most, usd)
	if at.Sub(s.since) >= standingFor {
		s.least = min(s.least, s.most)
		if s.known.IsZero() {
			s.known = at
		}
		s.since, s.most = at, 0
	}
	if at.Sub(s.period) > standsFor {
		s.period, s.before, s.least = at, s.least, math.Inf(1)
	}
}

// upTo is what a lead can be because it has stood at about that for a while, in USD; 0 where that is not known. Of one that
// has been too large for a while it may be that it is about to stand; of one that has not, only what it stood at before is
// believed.
func (s *standing) upTo(tooLargeSince, now time.Time) float64 {
	stood := !s.known.IsZero() && (s.known.Before(tooLargeSince) || now.Sub(tooLargeSince) >= strangeFor)
	if most := grownTo * min(s.least, s.before); stood && !math.IsInf(most, 1) {
		return most
	}
	return 0
}
