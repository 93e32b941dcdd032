package judgement

import "time"

const (
	// knownAfter is for how long an entity must be well while it spends until it is known what its traffic reserves.
	knownAfter = 10 * time.Minute
	// fasterBy is by how many times an entity must spend faster than it was seen well for that to be another traffic.
	fasterBy = 2
	// growsBy is by how many times more than its traffic its reservations can grow then.
	growsBy = 3
	// mostReserved is for how much of its spending, in time, an entity can have reservations in flight: a request can
	// reserve many times what it will cost.
	mostReserved = 10 * time.Minute
	// awayFor is for how long an entity can be ahead of its row by more than its spend on its way there until its
	// reservations are such as never all come back.
	awayFor = 2 * time.Minute
)

// traffic is the spending at which an entity was seen well.
type traffic struct {
	pace   float64   // USD per second, the fastest that its row ever rose while the two agreed
	lately recentMax // USD per second, of the last minutes of that

	well     time.Duration // in which the two agreed while it spent, since it last rested
	wellAt   time.Time     // the last reading of that
	wellPace float64       // USD per second, what of lately it began with
	backAt   time.Time     // when it was last ahead by no more than its spend on its way to the row
}

// agreed takes in that the two agree while the entity spends at a rate (USD per second).
func (tr *traffic) agreed(rate float64, at time.Time) {
	if rate == 0 {
		return
	}
	if since := at.Sub(tr.wellAt); since <= burnWindow {
		tr.well += since
	}
	tr.wellAt = at
	tr.pace = max(tr.pace, rate)
	tr.lately.add(rate, at, knownAfter)
	switch pace := tr.lately.at(at, knownAfter); {
	case pace > fasterBy*tr.wellPace:
		tr.well, tr.wellPace = 0, pace
	case pace < tr.wellPace:
		tr.wellPace = pace
	}
}

// rest forgets that the traffic is known once the entity rested: what begins then can be another. While it diverges, the
// tolerance by which it does stays.
func (t *Track) rest(now time.Time) {
	if t.usual != nil && !t.busy(now) && t.divergingSince.IsZero() {
		t.usual.traffic.well = 0
	}
}

// cameBack takes in whether the entity is back at its row, but for its spend on its way there. Reservations that never all
// come back are not seen for how much they are: who has them is not known.
func (tr *traffic) cameBack(back bool, at time.Time) {
	if back {
		tr.backAt = at
	} else if tr.well < knownAfter && at.Sub(tr.backAt) > awayFor {
		tr.well = 0
	}
}

// known says that a rate (USD per second) is of a traffic at which the entity was well for long enough, lately.
func (tr *traffic) known(rate float64) bool {
	return tr.well >= knownAfter && rate <= fasterBy*tr.lately.at(tr.wellAt, knownAfter)
}

// settlesMore says that lately more was settled at once than the entity was ahead by before: its reservations have grown.
func (j *Judge) settlesMore(t *Track, now time.Time) bool {
	seen := max(t.usual.ahead.at(now, usualFor), j.params.ToleranceUSD+t.motion.rowRate(now)*j.writeLag().Seconds())
	return t.motion.settledBy(now) > usualMargin*seen
}

// strangeReservations is the most by which an entity can be ahead of its row, in USD, because of what is not known of its
// traffic: where it spends faster, or settles more, than it ever did while it was well, or was met lately, what requests can
// reserve; where it was never seen well for long enough, what its spending makes of what is usual in the deployment. 0 where
// all is known.
func (j *Judge) strangeReservations(t *Track, a assessment, now time.Time) float64 {
	tr, rate := &t.usual.traffic, t.motion.rowRate(now)
	most := rate * mostReserved.Seconds()
	switch own := t.usual.ahead.at(now, usualFor); {
	case tr.well >= knownAfter && j.settlesMore(t, now):
		return most
	case tr.known(rate):
		return 0
	case now.Sub(t.firstAt) < strangeFor:
		return most
	case rate <= fasterBy*tr.pace:
		return a.tolerance.Value + rate*j.flight.measured.Value.Seconds()
	case own > 0 && tr.pace > 0:
		return min(most, growsBy*own*rate/tr.pace)
	}
	return most
}
