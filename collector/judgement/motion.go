package judgement

import (
	"math"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// burnWindow is the time over which a burn rate is taken.
	burnWindow = 60 * time.Second
	// mostRises bounds what is remembered of one side of an entity.
	mostRises = 64

	// concurrent is by how many times the reservations in flight can exceed what of them is seen to be settled within
	// a burn window.
	concurrent = 3
	// settledFor is how long settled reservations tell what is in flight.
	settledFor   = 10 * time.Minute
	shortfallFor = 2 * time.Minute
)

// rise is spend that appeared on one side between two readings of it. There can be 100 000 histories of them.
type rise struct {
	to   int64   // Unix time in ns of the reading that showed it
	usd  float64 // by how much
	took float32 // seconds since the reading before

	// Of the counter:
	least    float32 // USD, the least by which the counter was ahead of the row since
	value    float64 // USD, what it had risen to
	reported float64 // USD, the row's spend as known when the rise was seen
	noBurn   bool    // it came back with it, above the row, or the row did not follow it
}

// motion is how both sides of an entity moved lately.
type motion struct {
	counter []rise
	row     []rise // of the last burn window
	// rowStoodUntil is the last reading of the row before it was seen to move: what the counter rose since
	// then may not be in the row yet.
	rowStoodUntil time.Time

	fellAt time.Time // when the counter fell last: requests were in flight until then

	peak         float64 // of the counter, within a burn window
	peakAt       time.Time
	settled      float64 // USD, the most that was settled within a burn window lately
	settledUntil time.Time

	ahead float64 // USD by which the counter was ahead of the row when it last was

	spender spender
}

// counterMoved takes in two successive readings of a counter, and what was known of the row. It keeps what rose in the
// time that still counts.
func (m *motion) counterMoved(before, now budget.Counter, reported budget.Optional[float64], keep time.Duration) {
	switch {
	case now.State != budget.CounterPresent || before.State == budget.CounterUnread || !reported.Known:
		return
	case before.State != budget.CounterPresent || ranOut(before, now):
		m.peak, m.peakAt = now.Value, now.ReadAt
		if ahead := now.Value - reported.Value; ahead > 0 && now.Value != before.Value {
			r := newRise(before.ReadAt, now.ReadAt, ahead, reported.Value)
			r.value, r.noBurn = now.Value, true
			m.counter = appendRise(m.counter, r, keep)
		}
		return
	case now.Value > before.Value:
		r := newRise(before.ReadAt, now.ReadAt, now.Value-before.Value, reported.Value)
		r.value = now.Value
		m.counter = appendRise(m.counter, r, keep)
	}
	if now.Value < before.Value {
		m.fellAt = now.ReadAt
	}
	if now.Value != before.Value { // spend raises it all the while: what it falls short of that was settled, too
		m.peak += m.rowRate(now.ReadAt) * now.ReadAt.Sub(before.ReadAt).Seconds()
	}
	if now.Value >= m.peak || now.ReadAt.Sub(m.peakAt) > burnWindow {
		m.peak, m.peakAt = now.Value, now.ReadAt
	}
	// A counter that falls below its row did not settle reservations: it lost spend. Nor did one that falls by more than
	// it rose: it was mended. One that only fell short may have been left alone: that is soon forgotten.
	lasts := settledFor
	if now.Value >= before.Value {
		lasts = shortfallFor
	}
	if settled := min(m.peak-now.Value, m.lifted(now.ReadAt, keep)); settled > 0 && now.Value >= reported.Value &&
		(settled >= m.settled || now.ReadAt.After(m.settledUntil)) {
		m.settled, m.settledUntil = settled, now.ReadAt.Add(lasts)
	}
}

// met takes in the first reading of a counter that moves: by what it was ahead of the row it can have risen just before.
func (m *motion) met(first budget.Counter, reported budget.Optional[float64]) {
	if len(m.counter) == 0 && first.State == budget.CounterPresent && reported.Known && first.Value > reported.Value {
		r := newRise(first.ReadAt, first.ReadAt, first.Value-reported.Value, reported.Value)
		r.value, r.noBurn, r.least = first.Value, true, float32(math.Inf(-1)) // it tells nothing of what was wrong before
		m.counter = []rise{r}
	}
}

// ranOut says that the counter's life can have ended between two readings, and that it was seeded anew.
func ranOut(before, now budget.Counter) bool {
	return before.TTL != budget.NoExpiry && now.ReadAt.Sub(before.ReadAt) >= before.TTL
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
		m.row = appendRise(m.row, newRise(before.ReadAt, now.ReadAt, change, before.Spend.Value), burnWindow)
	}
	if change < 0 { // a reset or an edit: where the counter stood tells nothing any more
		m.peakAt = time.Time{}
	}
	for i := range m.counter {
		r := &m.counter[i]
		followed := now.Spend.Value-r.reported >= r.usd/2
		if followed || change < 0 {
			r.least = float32(math.Inf(-1)) // what is ahead of the row since is other spend
		}
		if !r.noBurn && !followed && now.Spend.Value >= r.reported && now.ReadAt.UnixNano()-r.to >= int64(unwrittenFor) {
			r.noBurn = true
		}
	}
}

// behind is how long ago the counter was at what the row says at a time: by so much the row is behind it, or by less where
// reservations raise the counter. Unknown where no rise is remembered.
func (m *motion) behind(reported, counter float64, at time.Time) budget.Optional[time.Duration] {
	if len(m.counter) == 0 {
		return budget.Optional[time.Duration]{}
	}
	since, noise := at, budget.Noise(reported)
	if counter <= reported+noise {
		return budget.Some(time.Duration(0))
	}
	for _, r := range slices.Backward(m.counter) {
		if r.value <= reported {
			break
		}
		since = time.Unix(0, r.to)
		if r.value-r.usd <= reported+noise {
			break
		}
	}
	return budget.Some(max(0, at.Sub(since)))
}

// reaches says that the rises of the counter that are remembered go back to when it was at a spend of the row, or below.
func (m *motion) reaches(reported float64) bool {
	return slices.ContainsFunc(m.counter, func(r rise) bool { return r.value-r.usd <= reported+budget.Noise(reported) })
}

// burnRate is the larger of counter rise and row rise, in USD per second over the last minute.
func (m *motion) burnRate(now time.Time) float64 {
	return max(m.riseRate(now), m.rowRate(now))
}

// riseRate is the rise of the counter in USD per second over the last minute, reservations included.
func (m *motion) riseRate(now time.Time) float64 {
	return risenWithin(m.counter, now) / burnWindow.Seconds()
}

// rowRate is the rise of the row in USD per second over the last minute: what was truly spent.
func (m *motion) rowRate(now time.Time) float64 {
	return risenWithin(m.row, now) / burnWindow.Seconds()
}

// unwritten is how much of the counter's rise may not have reached the row yet (USD): what it rose since the
// row last moved, for at most the given time.
func (m *motion) unwritten(now time.Time, atMost time.Duration) float64 {
	since := now.Add(-atMost)
	if m.rowStoodUntil.After(since) {
		since = m.rowStoodUntil
	}
	sum := 0.0
	for _, r := range m.counter {
		if !r.noBurn && r.to > since.UnixNano() {
			sum += r.usd
		}
	}
	return sum
}

// written is by how much the row rose in the burn window up to its last rise, in USD; 0 if it has stood still for longer
// than a time.
func (m *motion) written(now time.Time, within time.Duration) float64 {
	sum := 0.0
	if now.Sub(m.rowStoodUntil) <= within {
		for _, r := range m.row {
			sum += r.usd
		}
	}
	return sum
}

// lifted is by how much the counter rose or came back above the row in the given time (USD), whether or not the row
// moved meanwhile: with several workers each brings its own part to the row.
func (m *motion) lifted(now time.Time, within time.Duration) float64 {
	since := now.Add(-within).UnixNano()
	sum := 0.0
	for _, r := range m.counter {
		if r.to > since {
			sum += r.usd
		}
	}
	return sum
}

// madeUpUntil is until when the last rises of the counter that make up an amount (USD) are no older than a time; zero if
// all that are remembered do not make it up.
func (m *motion) madeUpUntil(usd float64, within time.Duration) time.Time {
	for _, r := range slices.Backward(m.counter) {
		if usd -= r.usd; usd <= budget.Noise(r.reported) {
			return time.Unix(0, r.to).Add(within)
		}
	}
	return time.Time{}
}

// aheadBy takes in by how much the counter is ahead of the row, in USD.
func (m *motion) aheadBy(usd float64) {
	for i := range m.counter {
		m.counter[i].least = min(m.counter[i].least, float32(usd))
	}
}

// wrongSince is the first rise of those remembered that was no spend and since which the counter was ahead of the row by
// more than a tolerance in every reading; zero if there is none.
func (m *motion) wrongSince(tolerance float64) time.Time {
	for _, r := range m.counter {
		if r.noBurn && float64(r.least) > tolerance {
			return time.Unix(0, r.to)
		}
	}
	return time.Time{}
}

// inFlight is the size of reservations that can be in flight now, in USD, as told by what was settled lately.
func (m *motion) inFlight(now time.Time) float64 { return concurrent * m.settledBy(now) }

// settledBy is the most that was settled within a burn window lately, in USD.
func (m *motion) settledBy(now time.Time) float64 {
	if now.After(m.settledUntil) {
		return 0
	}
	return m.settled
}

// idle says that nothing is left in the history that could still count.
func (m *motion) idle(now time.Time, grace time.Duration) bool {
	since := now.Add(-max(grace, burnWindow, settledFor))
	last := func(rs []rise) bool { return len(rs) == 0 || rs[len(rs)-1].to < since.UnixNano() }
	return last(m.counter) && last(m.row) && m.settledUntil.Before(now)
}

func newRise(from, to time.Time, usd, reported float64) rise {
	return rise{to: to.UnixNano(), took: float32(to.Sub(from).Seconds()), usd: usd, reported: reported, least: float32(math.Inf(1))}
}

// appendRise adds a rise and drops those that are too old to count, or too many.
func appendRise(rs []rise, r rise, keep time.Duration) []rise {
	old := 0
	for old < len(rs) && (rs[old].to < r.to-int64(keep) || len(rs)-old >= mostRises) {
		old++
	}
	return append(append(rs[:0], rs[old:]...), r)
}

// risenWithin sums the part of the rises that falls into the last burn window, a rise being spread evenly between its
// two readings.
func risenWithin(rs []rise, now time.Time) float64 {
	since := now.Add(-burnWindow).UnixNano()
	sum := 0.0
	for _, r := range rs {
		if r.noBurn || r.to <= since {
			continue
		}
		sum += r.usd * min(1, float64(r.to-since)/(float64(r.took)*float64(time.Second)))
	}
	return sum
}
