package judgement

import "time"

// recentMax is the largest amount that was seen within a period, or two of them at most.
type recentMax struct {
	since  time.Time // the period under way began
	most   float64   // in it
	before float64   // in the one before it
}

func (r *recentMax) add(amount float64, at time.Time, period time.Duration) {
	if at.Sub(r.since) > period {
		*r = recentMax{since: at, before: r.at(at, period)}
	}
	r.most = max(r.most, amount)
}

// at is the largest amount of what is remembered at a time; 0 if there is none.
func (r *recentMax) at(now time.Time, period time.Duration) float64 {
	switch age := now.Sub(r.since); {
	case age > 2*period:
		return 0
	case age > period:
		return r.most
	}
	return max(r.most, r.before)
}
