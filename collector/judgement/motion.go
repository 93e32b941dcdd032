package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// burnWindow is the time over which a burn rate is taken.
const burnWindow = 60 * time.Second

// mostRises bounds the history of one entity: at the shortest interval worth using it spans more than a
// burn window.
const mostRises = 64

// rise is spend that appeared on one side between two readings of it.
type rise struct {
	from, to time.Time
	usd      float64
	reported float64 // the row's spend as known when the rise was seen
}

// motion is how both sides of an entity moved lately.
type motion struct {
	counter []rise // only those that count as burn
	row     []rise

	// rowStoodUntil is the last reading of the row before it was seen to move: what the counter rose since
	// then may not be in the row yet.
	rowStoodUntil time.Time

	reservation   float64 // USD, the largest lately settled reservation
	reservationAt time.Time

	spender spender
}

// usualReservationFor is how long a settled reservation tells what reservations are usual.
const usualReservationFor = 10 * time.Minute

// counterMoved takes in two successive readings of a counter.
func (m *motion) counterMoved(before, now budget.Counter, reported float64) {
	if before.State != budget.CounterPresent || now.State != budget.CounterPresent {
		return
	}
	// The counter could have expired and been seeded anew in between.
	if before.TTL != budget.NoExpiry && now.ReadAt.Sub(before.ReadAt) >= before.TTL {
		return
	}
	change := now.Value - before.Value
	switch {
	case change > 0:
		m.counter = appendRise(m.counter, rise{before.ReadAt, now.ReadAt, change, reported})
	case change < 0:
		settled := min(-change, risen(m.counter, now.ReadAt.Add(-burnWindow)))
		if settled > 0 && settled >= m.usualReservation(now.ReadAt) {
			m.reservation, m.reservationAt = settled, now.ReadAt
		}
	}
}

// rowMoved takes in two successive readings of a row. A rise of the counter that the row did not follow
// within one write lag (several, until that is measured) was no spend: it does not count as burn.
func (m *motion) rowMoved(before, now *budget.Row, unwrittenFor time.Duration) {
	if !before.Spend.Known || !now.Spend.Known {
		return
	}
	change := now.Spend.Value - before.Spend.Value
	if change != 0 {
		m.rowStoodUntil = before.ReadAt
	}
	if change > 0 {
		m.row = appendRise(m.row, rise{before.ReadAt, now.ReadAt, change, before.Spend.Value})
	}
	kept := m.counter[:0]
	for _, r := range m.counter {
		followed := now.Spend.Value < r.reported || now.Spend.Value-r.reported >= r.usd/2
		if followed || now.ReadAt.Sub(r.to) < unwrittenFor {
			kept = append(kept, r)
		}
	}
	m.counter = kept
}

// burnRate is the larger of counter rise and row rise, in USD per second over the last minute.
func (m *motion) burnRate(now time.Time) float64 {
	since := now.Add(-burnWindow)
	return max(0, risenWithin(m.counter, since), risenWithin(m.row, since)) / burnWindow.Seconds()
}

// unwritten is how much of the counter's rise may not have reached the row yet (USD): what it rose since the
// row last moved, for at most the given time.
func (m *motion) unwritten(now time.Time, atMost time.Duration) float64 {
	since := now.Add(-atMost)
	if m.rowStoodUntil.After(since) {
		since = m.rowStoodUntil
	}
	return risen(m.counter, since)
}

// usualReservation is the size of reservations in flight that is usual for the entity now, in USD.
func (m *motion) usualReservation(now time.Time) float64 {
	if now.Sub(m.reservationAt) > usualReservationFor {
		return 0
	}
	return m.reservation
}

// idle says that nothing is left in the history that could still count.
func (m *motion) idle(now time.Time, grace time.Duration) bool {
	since := now.Add(-max(grace, burnWindow, usualReservationFor))
	last := func(rs []rise) bool { return len(rs) == 0 || rs[len(rs)-1].to.Before(since) }
	return last(m.counter) && last(m.row) && m.reservationAt.Before(since)
}

func appendRise(rs []rise, r rise) []rise {
	if len(rs) == mostRises {
		rs = append(rs[:0], rs[1:]...)
	}
	return append(rs, r)
}

// risen sums the rises seen after a time.
func risen(rs []rise, since time.Time) float64 {
	sum := 0.0
	for _, r := range rs {
		if r.to.After(since) {
			sum += r.usd
		}
	}
	return sum
}

// risenWithin sums the part of the rises that falls after a time, a rise being spread evenly between its two readings.
func risenWithin(rs []rise, since time.Time) float64 {
	sum := 0.0
	for _, r := range rs {
		if !r.to.After(since) {
			continue
		}
		part := 1.0
		if r.from.Before(since) {
			part = float64(r.to.Sub(since)) / float64(r.to.Sub(r.from))
		}
		sum += r.usd * part
	}
	return sum
}
