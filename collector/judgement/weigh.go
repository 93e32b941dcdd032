package judgement

import (
	"math"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// assessment is what the two readings last taken of an entity say at a time.
type assessment struct {
	cap       budget.Cap
	enforced  budget.Optional[float64]
	tolerance budget.Optional[float64] // USD, of a lock
	// Rows that are far behind, and what is usual for the entity, can set the two further apart than that.
	entersAbove float64 // USD, what a divergence must exceed to be called one
	endsAt      float64 // USD, what it must come back to then to be none

	judged   bool // it may be judged at all, and both spends are known
	agrees   bool // counter and row are within the tolerance of each other, as far as there is a counter
	close    bool // the two readings lie close enough for a verdict
	negative bool // the counter or the row is
	pinned   bool // the counter stands at the cap, or above it by what a shrunk reservation fell short, the row below it
	odd      bool // no time could make it right: negative, or immortal
	doubtful bool // the verdict depends on whether a temporary increase is in force, which cannot be seen

	locked   bool // falsely locked by the readings as they are
	bypassed bool
	apparent bool // it looks locked, whatever spend on its way to the row could explain
	diverges bool
	plain    bool // the divergence is more than rows that are farther behind than is usual can explain
	unsure   bool // it does not diverge, and might had the two been read at the same time
	lifted   bool // by no more than the counter rose, or came back with, in the time that spend can take to the row

	// suspect is the verdict that the readings suggest with the reported spend moved on at the burn rate to
	// the time of the counter's reading.
	suspect budget.Verdict
}

func (a assessment) shows(v budget.Verdict) bool {
	switch v {
	case budget.FalselyLocked:
		return a.locked
	case budget.Bypassed:
		return a.bypassed
	}
	return false
}

// weigh applies the definitions to the last readings.
func (j *Judge) weigh(t *Track, now time.Time) assessment {
	r, c := t.row, t.counter
	a := assessment{cap: j.capOf(r, now)}
	lag := j.writeLag()
	a.enforced = enforcedSpend(j.release.Rules, r.Spend, c, a.cap, t.guard.fails(lag))
	a.negative = (r.Spend.Known && r.Spend.Value < 0) || (c.State == budget.CounterPresent && c.Value < 0)
	if !r.Spend.Known || !a.enforced.Known {
		return a
	}

	gap := t.readingGap()
	burn, rowRate, unwritten, lifted := 0.0, 0.0, 0.0, 0.0
	if t.motion != nil {
		burn, rowRate = t.motion.burnRate(now), t.motion.rowRate(now)
		lifted = t.motion.lifted(now, j.liftFor())
	}
	tolerance := j.params.ToleranceUSD + burn*(lag+gap).Seconds()
	patience, utmost := t.carried.usd, 0.0 // beyond the tolerance, before it is called diverging
	if a.enforced.Value > r.Spend.Value {  // reservations and spend on its way make the counter too high, never too low
		if t.motion != nil {
			unwritten = t.motion.unwritten(now, j.behindFor())
		}
		tolerance += j.usualReservations(t, now)
		patience = max(burn*(j.behindFor()-lag).Seconds(), t.usualLead(now)-tolerance) // rows can be far behind
		utmost = max(patience, rowRate*(j.behindAtMost()-lag).Seconds())
	}
	a.tolerance = budget.Some(tolerance)
	a.endsAt = max(tolerance+patience, unwritten)
	a.entersAbove = max(a.endsAt, tolerance+utmost)
	a.agrees = c.State == budget.CounterAbsent || c.State == budget.CounterPresent && math.Abs(c.Value-r.Spend.Value) <= tolerance
	a.judged = !r.Blocked && !r.Throttled && !(r.Expires.Known && !now.Before(r.Expires.Value))
	a.close = gap <= j.params.CounterInterval
	if !a.judged {
		return a
	}

	a.odd = t.immortal || a.negative

	enforced, reported := a.enforced.Value, r.Spend.Value
	exceeds := func(reported, tolerance float64) bool {
		d := enforced - reported
		return math.Abs(d) > tolerance && !(d > 0 && d <= unwritten)
	}
	locks := func(cap budget.Cap, reported float64) bool {
		return cap.ReachedBy(enforced) && cap.Above(reported) && enforced > reported && exceeds(reported, tolerance)
	}
	bypasses := func(cap budget.Cap, reported float64) bool {
		return cap.ReachedBy(reported) && cap.Above(enforced) && enforced < reported && exceeds(reported, tolerance+t.carried.usd)
	}
	apart := math.Abs(enforced - reported)
	notable := apart > j.params.ToleranceRatio*max(math.Abs(enforced), math.Abs(reported))
	a.diverges = notable && apart > a.endsAt
	a.plain = notable && apart > tolerance+utmost
	a.unsure = notable && !a.diverges && exceeds(reported, tolerance+patience-burn*gap.Seconds())
	a.lifted = enforced > reported && enforced-reported <= lifted
	if a.cap.State != budget.CapKnown || a.cap.BlocksByIntent() {
		return a
	}
	a.pinned = c.State == budget.CounterPresent && (a.cap.Pins(c.Value) || j.overfilled(t, a.cap, now)) && a.cap.Above(reported)
	a.locked, a.bypassed = locks(a.cap, reported), bypasses(a.cap, reported)
	a.apparent = a.cap.ReachedBy(enforced) && a.cap.Above(reported) && enforced-reported > tolerance
	for _, cap := range []budget.Cap{a.cap.AtLow(), a.cap.AtHigh()} {
		a.doubtful = a.doubtful || locks(cap, reported) != a.locked || bypasses(cap, reported) != a.bypassed
	}
	expected := reported + burn*max(0, c.ReadAt.Sub(r.ReadAt)).Seconds()
	switch {
	case locks(a.cap, expected):
		a.suspect = budget.FalselyLocked
	case bypasses(a.cap, expected):
		a.suspect = budget.Bypassed
	}
	return a
}

// overfilled says that a counter is above the cap at which it stood before, by no more than the row rose lately: the request
// whose reservation was shrunk to what was left cost more.
func (j *Judge) overfilled(t *Track, cap budget.Cap, now time.Time) bool {
	return t.filled == cap && cap.ReachedBy(t.counter.Value) && t.motion != nil &&
		t.counter.Value-cap.High <= t.motion.written(now, j.unwrittenFor())
}
