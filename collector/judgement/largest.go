package judgement

import "time"

// usualFor is for how long it is remembered, at least, how far an entity was ahead of its row while it was well.
const usualFor = 24 * time.Hour

// largest is the largest amount that was seen within a day or two.
type largest struct {
	since  time.Time // the day under way began
	usd    float64   // in it
	before float64   // USD, in the day before
}

func (l *largest) add(usd float64, at time.Time) {
	if at.Sub(l.since) > usualFor {
		*l = largest{since: at, before: l.lately(at)}
	}
	l.usd = max(l.usd, usd)
}

// lately is the largest amount in USD of what is remembered at a time; 0 if there is none.
func (l *largest) lately(at time.Time) float64 {
	switch age := at.Sub(l.since); {
	case age > 2*usualFor:
		return 0
	case age > usualFor:
		return l.usd
	}
	return max(l.usd, l.before)
}
