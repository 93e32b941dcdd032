package judgement

import "time"

// lead is by how much a counter was ahead of its row for a minute on end and then, by itself, by less than half of that:
// spend on its way and reservations, whether or not it was seen what of the two. What is called diverging must have been so
// in every reading for as long, so it is this that tells what is usual, and not how far ahead the counter was for a moment.
type lead struct {
	most     recentMax // USD
	standing standing

	sustained float64   // USD, for a minute on end, and not yet come back from
	since     time.Time // the half minute under way
	least     float64   // USD, in the half minute under way
	before    float64   // USD, in the one before it
}

// ahead takes in by how much the counter is ahead of the row, in USD.
func (l *lead) ahead(usd float64, at time.Time) {
	if l.since.IsZero() {
		l.begin(usd, at)
		return
	}
	l.least = min(l.least, usd)
	if at.Sub(l.since) >= divergingFor/2 {
		sustained := min(l.before, l.least)
		l.sustained = max(l.sustained, sustained)
		l.standing.lead(sustained, at)
		l.since, l.before, l.least = at, l.least, usd
	}
	if usd > l.sustained/2 {
		return
	}
	l.most.add(l.sustained, at, usualFor)
	l.begin(usd, at)
}

func (l *lead) begin(usd float64, at time.Time) {
	l.sustained, l.since, l.before, l.least = 0, at, 0, usd
}

// forsake gives up the lead under way: it is no longer told whether it ends by itself.
func (l *lead) forsake() {
	l.begin(0, time.Time{})
	l.standing = standing{}
}
