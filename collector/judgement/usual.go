package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// usualFor is for how long it is remembered, at least, how far an entity was ahead of its row while it was well.
	usualFor = 24 * time.Hour
	// usualMargin is by how many times more it can be ahead than was seen in that time.
	usualMargin = 1.25
	// busyFor is for how long after its counter moved an entity can have requests in flight.
	busyFor = 2 * time.Minute
	// longestFlight bounds what is believed of how long spend is in flight.
	longestFlight = 5 * time.Minute
)

// usual is by how much an entity was ahead of its row and came back to it by itself, or half of the way: reservations that
// were settled and spend that was written. That much is nothing to remark on while it is busy.
type usual struct {
	ahead   recentMax // USD
	lead    lead      // of which no settlement need be seen
	traffic traffic
	fastest recentMax // USD per second by which the row rose in the last minutes

	counter float64 // as last read
	excursion
}

// excursion is a time in which an entity is ahead of its row.
type excursion struct {
	peak     float64 // USD
	settled  float64 // USD by which the counter fell
	rate     float64 // USD per second by which the row rose, at most
	forsaken bool    // it is not told whether it ends by itself
}

// learn takes in a reading of an entity.
func (j *Judge) learn(t *Track, a assessment, at time.Time) {
	u := t.usual
	if t.motion == nil || t.counter.State != budget.CounterPresent || !a.judged {
		u.forsake(t.motion == nil || t.counter.State == budget.CounterAbsent)
		return
	}
	if t.lock != budget.NotJudged || t.lasting || t.odd {
		u.forsake(false)
		return
	}
	rate := t.motion.rowRate(at)
	u.fastest.add(rate, at, mostReserved)
	u.settled += max(0, u.counter-t.counter.Value)
	u.counter = t.counter.Value
	ahead := t.counter.Value - t.row.Spend.Value
	if t.readingGap() <= j.params.CounterInterval/4 {
		u.lead.ahead(ahead, at)
	}
	onItsWay := j.params.ToleranceUSD + rate*j.writeLag().Seconds()
	if a.agrees {
		u.traffic.agreed(min(rate, t.motion.riseRate(at)), at)
	}
	u.traffic.cameBack(ahead <= onItsWay, at)
	u.rate = max(u.rate, rate)
	if ahead > onItsWay {
		u.peak = max(u.peak, ahead)
		if ahead <= u.peak/2 && u.remember(at) { // under heavy traffic it may never end, but come and go
			u.excursion = excursion{peak: ahead, rate: rate}
		}
		return
	}
	if u.remember(at) && u.rate > 0 {
		flight := time.Duration(min(u.peak/u.rate, longestFlight.Seconds()) * float64(time.Second))
		j.flight.add(max(0, flight-j.behindFor()+j.writeLag())) // the wait for a slow flush is not part of it
	}
	u.excursion = excursion{}
}

// remember takes the excursion under way, or what of it is over, for one that is usual, if it is known that it was
// reservations: a good part of it was seen to be settled, although spend that rises meanwhile hides some.
func (u *usual) remember(at time.Time) bool {
	if u.peak == 0 || u.settled < u.peak/4 || u.forsaken {
		return false
	}
	u.ahead.add(u.peak, at, usualFor)
	return true
}

// forsake gives up the excursion under way, if any; ended says that the next one may be believed.
func (u *usual) forsake(ended bool) {
	if u == nil {
		return
	}
	u.excursion = excursion{forsaken: !ended}
	u.lead.forsake()
}

// usualReservations is the size of reservations in flight that are usual for an entity now, in USD: its own where its
// traffic is known, else also what was settled lately.
func (j *Judge) usualReservations(t *Track, now time.Time) float64 {
	if t.motion == nil {
		return 0
	}
	own, rate := 0.0, t.motion.rowRate(now)
	if t.busy(now) {
		own = t.usual.ahead.at(now, usualFor)
	}
	if t.usual.traffic.known(rate) && !j.settlesMore(t, now) {
		return max(0, usualMargin*own-rate*j.writeLag().Seconds()) // a part of it was spend on its way to the row
	}
	return max(own, t.motion.inFlight(now))
}

// usualLead is by how much a busy entity can be ahead of its row for a minute on end, in USD, by what is usual for it.
func (t *Track) usualLead(now time.Time) float64 {
	if t.motion == nil || !t.busy(now) {
		return 0
	}
	return usualMargin * t.usual.lead.most.at(now, usualFor)
}

// busy says that an entity can have requests in flight.
func (t *Track) busy(now time.Time) bool { return now.Sub(t.counterMovedAt) <= busyFor }
