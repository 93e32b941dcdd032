package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// busyFor is for how long after its counter moved an entity can have requests in flight.
	busyFor = 2 * time.Minute
	// longestFlight bounds what is believed of how long spend is in flight.
	longestFlight = 5 * time.Minute
	// mostReserved is for how much of its spending, in time, an entity can have reservations in flight: a request can
	// reserve many times what it will cost.
	mostReserved = 10 * time.Minute
	// fasterBy is by how many times an entity must spend faster than it was ever seen well for that to be strange.
	fasterBy = 2
	// growsBy is by how many times more than its traffic its reservations can grow then.
	growsBy = 3
	// knownAfter is for how long an entity must be well while it spends until it is known what its traffic reserves.
	knownAfter = 10 * time.Minute
	// usualMargin is by how many times more it can be ahead then than was ever seen.
	usualMargin = 1.25
)

// usual is by how much an entity was ahead of its row and came back to it by itself, or half of the way: reservations that
// were settled and spend that was written. That much is nothing to remark on while it is busy.
type usual struct {
	largest largest
	pace    float64 // USD per second, the fastest that its row ever rose while the two agreed
	lead    lead    // of which no settlement need be seen

	well     time.Duration // in which the two agreed while it spent, since it last rested
	wellAt   time.Time     // the last reading of that
	wellPace float64       // USD per second, the pace when that began

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
	if u != nil && !t.busy(at) {
		u.well = 0
	}
	if t.motion == nil || t.counter.State != budget.CounterPresent || !a.judged {
		u.forsake(t.motion == nil || t.counter.State == budget.CounterAbsent)
		return
	}
	if t.lock != budget.NotJudged || t.lasting || t.odd {
		u.forsake(false)
		return
	}
	rate := t.motion.rowRate(at)
	u.settled += max(0, u.counter-t.counter.Value)
	u.counter = t.counter.Value
	ahead := t.counter.Value - t.row.Spend.Value
	if t.readingGap() <= j.params.CounterInterval/4 {
		u.lead.ahead(ahead, at)
	}
	if a.agrees {
		u.pace = max(u.pace, rate)
		u.agreed(rate, at)
	}
	u.rate = max(u.rate, rate)
	if ahead > j.params.ToleranceUSD+rate*j.writeLag().Seconds() {
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

// agreed takes in that the two agree while the row rises at a rate.
func (u *usual) agreed(rate float64, at time.Time) {
	if rate == 0 {
		return
	}
	if since := at.Sub(u.wellAt); since <= burnWindow {
		u.well += since
	}
	if u.pace > fasterBy*u.wellPace {
		u.well, u.wellPace = 0, u.pace
	}
	u.wellAt = at
}

// remember takes the excursion under way, or what of it is over, for one that is usual, if it is known that it was
// reservations: a good part of it was seen to be settled, although spend that rises meanwhile hides some.
func (u *usual) remember(at time.Time) bool {
	if u.peak == 0 || u.settled < u.peak/4 || u.forsaken {
		return false
	}
	u.largest.add(u.peak, at)
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
// traffic is known, else also what was settled lately and what its spending makes of what is usual in the deployment.
func (j *Judge) usualReservations(t *Track, now time.Time) float64 {
	if t.motion == nil {
		return 0
	}
	own, rate := 0.0, t.motion.rowRate(now)
	if t.busy(now) {
		own = t.usual.largest.lately(now)
	}
	if t.usual.known() && !t.usual.faster(rate) && !j.settlesMore(t, now) {
		return max(0, usualMargin*own-rate*j.writeLag().Seconds()) // a part of it was spend on its way to the row
	}
	return max(own, t.motion.inFlight(now), rate*j.flight.measured.Value.Seconds())
}

// known says that the entity was well for long enough to know its traffic, if that did not change.
func (u *usual) known() bool { return u.well >= knownAfter }

// faster says that a rate (USD per second) is much more than the entity ever spent while it was well.
func (u *usual) faster(rate float64) bool { return rate > fasterBy*u.pace }

// settlesMore says that lately more was settled at once than the entity was ever ahead by: its reservations have grown.
func (j *Judge) settlesMore(t *Track, now time.Time) bool {
	seen := max(t.usual.largest.lately(now), j.params.ToleranceUSD+t.motion.rowRate(now)*j.writeLag().Seconds())
	return t.motion.settledBy(now) > usualMargin*seen
}

// usualLead is by how much a busy entity can be ahead of its row for a minute on end, in USD, by what is usual for it.
func (t *Track) usualLead(now time.Time) float64 {
	if t.motion == nil || !t.busy(now) {
		return 0
	}
	return usualMargin * t.usual.lead.largest.lately(now)
}

// busy says that an entity can have requests in flight.
func (t *Track) busy(now time.Time) bool { return now.Sub(t.counterMovedAt) <= busyFor }

// strange says that the traffic of an entity is such as was never seen well, and that its counter is ahead (USD) by no
// more than it can have reserved then.
func (j *Judge) strange(t *Track, ahead float64, now time.Time) bool {
	u, rate := t.usual, t.motion.rowRate(now)
	most := rate * mostReserved.Seconds()
	switch own := u.largest.lately(now); {
	case u.known() && j.settlesMore(t, now):
	case !u.faster(rate):
		return false
	case own > 0 && u.pace > 0:
		most = min(most, growsBy*own*rate/u.pace)
	}
	return ahead <= most
}
