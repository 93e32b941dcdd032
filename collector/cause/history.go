package cause

import (
	"math"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// mostRecent bounds the samples of the last minutes of movement, whatever the intervals: these tell of a cause.
	mostRecent = 16
	spanned    = 4 * time.Minute
	// mostOlder bounds those from before, which tell how it came to that: as many as are needed to draw it with straight
	// lines. Of what was long before the two sides last agreed there are none.
	mostOlder = 8
	agreedFor = time.Hour
	// mostTerms bounds the changes of what held of the entity that are remembered.
	mostTerms = 3
	// together is how close two readings lie that belong to one sample, as a row and the counter read after it do.
	together = 5 * time.Second
	// keptFor is for how long a history is of use after the last movement, where nothing diverges.
	keptFor = 10 * time.Minute
)

// nan stands for a side that is not known.
var nan = math.NaN()

// History is how the two sides of one entity moved: samples, and landmarks, which do not age out while a divergence
// persists. Its size is bounded (below 1,000 bytes); an entity that does not move needs none.
type History struct {
	samples []sample // oldest first
	base    instant  // from which the times of the samples count
	began   instant  // the first reading of the newest sample
	moved   instant

	terms   terms  // as last taken in
	earlier []term // oldest first

	calm   calm
	reset  reset
	edit   step
	seed   seed
	jump   step
	held   float64 // by the counter when it last was there, before the last reading, in USD
	drop   drop
	fall   fall
	lasted time.Duration // the lowest TTL since the counter last changed
	due    instant       // the next reset, as last read

	restarts uint16 // times the counter came back far below the row after its life was over
	older    uint8  // so many of the samples are from before the last minutes
	onset    bool   // begun at the first sight of an entity that diverged already
	stalled  bool   // the rows of the fleet stood still since the two sides last agreed
	told     bool   // the terms were taken in
}

// instant is a Unix time in ns; 0 = never.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.UnixNano())
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}

// tick is the unit of time of a sample.
const tick = 100 * time.Millisecond

// sample is both sides at one time. There can be 100 000 histories of them.
type sample struct {
	reported float64 // USD; NaN = unknown
	counter  float64 // USD; NaN = none
	at       uint32  // ticks since the base
	ttl      uint16  // ticks, at most longestTTL; forEver
	leftOut  uint16  // so many samples between the one before and this one were not kept, at most math.MaxUint16
}

const (
	forEver    = math.MaxUint16
	longestTTL = forEver - 1
)

// term is what held until a time.
type term struct {
	terms
	until uint32 // ticks since the base: the sample of this time shows what followed
}

// terms are budget.Terms in small.
type terms struct {
	limit   float64 // USD
	reset   instant
	state   budget.CapState
	blocked bool
}

// Begin returns the history of an entity as last read. onset says that it diverges at its first sight, so that what
// brought it about was not seen.
func Begin(row *budget.Row, c budget.Counter, onset bool) *History {
	at := row.ReadAt
	if c.ReadAt.After(at) {
		at = c.ReadAt
	}
	// The first sample is of the counter's time: a row can have been read again since, and shown the same.
	first := row.ReadAt
	if c.State != budget.CounterUnread {
		first = c.ReadAt
	}
	h := &History{onset: onset, lasted: c.TTL, due: instantOf(row.ResetAt.Value), base: instantOf(first), moved: instantOf(at)}
	h.add(first, row, c)
	h.calmAt(at)
	if seen := h.samples[0]; onset && seen.counter < seen.reported-cent {
		h.fall = fall{at: instantOf(at), from: nan, to: seen.counter, reported: seen.reported}
	}
	return h
}

// Stood takes in since when both sides have stood as the history begins. More than keptFor before is not told.
func (h *History) Stood(since time.Time) {
	first := h.samples[0]
	at := h.at(first.at)
	if earliest := at.Add(-keptFor); since.Before(earliest) {
		since = earliest
	}
	if at.Sub(since) < together {
		return
	}
	h.base, h.began = instantOf(since), 0
	first.at = h.ticks(at)
	h.samples = append(h.samples, first)
}

// Agrees takes in that the two sides, as last taken in, are within the tolerance of each other.
func (h *History) Agrees(at time.Time) {
	h.onset, h.stalled = false, false
	h.calmAt(at)
	for h.older > 0 && at.Sub(h.at(h.samples[0].at)) > agreedFor {
		h.samples = slices.Delete(h.samples, 0, 1)
		h.samples[0].leftOut = 0
		h.older--
	}
}

// Stalled takes in that the rows of the whole fleet have stood still for so long that nothing is brought to them.
func (h *History) Stalled() { h.stalled = true }

func (h *History) calmAt(at time.Time) {
	last := h.samples[len(h.samples)-1]
	h.calm = calm{at: instantOf(at), reported: last.reported, counter: last.counter}
}

// FallenAt is when the counter last fell below its row; zero if it never did.
func (h *History) FallenAt() time.Time { return h.fall.at.time() }

// FleetFell takes in how many of how many counters of the fleet fell in the reading in which this one did.
func (h *History) FleetFell(fell, counted int) {
	h.fall.fell, h.fall.counted = int32(fell), int32(counted) //nolint:gosec // of the entities of one fleet
}

// Idle says that the history is of no use any more, if nothing diverges.
func (h *History) Idle(now time.Time) bool { return now.Sub(h.moved.time()) > keptFor }

// Holds takes in what holds of the entity from a time on. What a history begins with held before, too.
func (h *History) Holds(at time.Time, of budget.Terms) {
	now := terms{state: of.Cap.State, reset: instantOf(of.ResetAt.Value), blocked: of.Blocked}
	switch exact := of.Cap.Exact(); {
	case exact.Known:
		now.limit = exact.Value
	case now.state == budget.CapKnown:
		now.state = budget.CapUnknown // which of two it is
	}
	if h.told && now != h.terms {
		if len(h.earlier) == mostTerms {
			h.earlier = slices.Delete(h.earlier, 0, 1)
		}
		h.earlier = append(h.earlier, term{h.terms, h.ticks(at)})
	}
	h.terms, h.told = now, true
}

// termsAt is what held at the time of a sample.
func (h *History) termsAt(s sample) terms {
	for _, e := range h.earlier {
		if s.at < e.until {
			return e.terms
		}
	}
	return h.terms
}

// Samples lists the samples, oldest first.
func (h *History) Samples() []budget.Sample {
	samples := make([]budget.Sample, len(h.samples))
	for i, s := range h.samples {
		held := h.termsAt(s)
		samples[i] = budget.Sample{
			At: h.at(s.at), Reported: known(s.reported), Counter: known(s.counter), LeftOut: int(s.leftOut),
			Terms: budget.Terms{
				Cap:     budget.Cap{State: held.state, Low: held.limit, High: held.limit},
				ResetAt: budget.Optional[time.Time]{Value: held.reset.time(), Known: held.reset != 0},
				Blocked: held.blocked,
			},
		}
		if samples[i].Counter.Known {
			samples[i].TTL = time.Duration(s.ttl) * tick
			if s.ttl == forEver {
				samples[i].TTL = budget.NoExpiry
			}
		}
	}
	return samples
}

// recent are the samples of the last minutes.
func (h *History) recent() []sample { return h.samples[h.older:] }

// at is the time of so many ticks, and ticks the other way round.
func (h *History) at(ticks uint32) time.Time { return h.base.time().Add(time.Duration(ticks) * tick) }

func (h *History) ticks(at time.Time) uint32 {
	return uint32(max(0, at.Sub(h.base.time())/tick)) //nolint:gosec // 13 years
}

// add keeps both sides as they are now. Readings close together are one sample, and of a time in which nothing moved
// the ends are kept, and where in it the counter had the least life left.
func (h *History) add(at time.Time, row *budget.Row, c budget.Counter) {
	s := sample{reported: amount(row.Spend), counter: value(c), at: h.ticks(at), ttl: forEver}
	if c.TTL != budget.NoExpiry {
		s.ttl = uint16(min(c.TTL/tick, longestTTL)) //nolint:gosec // bounded
	}
	n := len(h.samples)
	last := n - 1
	if n > 0 {
		s.at = max(s.at, h.samples[last].at)
	}
	if n >= 2 && at.Sub(h.began.time()) < together {
		if out := h.samples[last].leftOut; out == 0 || h.same(s, h.samples[last]) {
			s.leftOut = out
			h.samples[last] = s
			return
		}
	}
	h.began = instantOf(at)
	if len(h.recent()) >= 3 && h.same(s, h.samples[last]) && h.same(h.samples[last], h.samples[last-1]) && h.same(h.samples[last-1], h.samples[last-2]) {
		if h.samples[last].ttl < h.samples[last-1].ttl {
			last--
		}
		h.replace(last, s)
		return
	}
	if n > 0 && s.at == h.samples[last].at { // the row and the counter, read at once
		s.at++
	}
	if len(h.recent()) == mostRecent {
		if at.Sub(h.at(h.recent()[0].at)) < spanned {
			h.replace(h.leastBent(int(h.older)+1, n-1), s)
			return
		}
		if h.older == mostOlder {
			h.replace(h.leastBent(1, mostOlder+1), s)
			return
		}
		h.older++
	}
	if n == cap(h.samples) { // it is full at three times this
		h.samples = append(make([]sample, 0, n+(mostRecent+mostOlder)/3), h.samples...)
	}
	h.samples = append(h.samples, s)
}

// replace leaves out a sample in favour of a new one at the end.
func (h *History) replace(i int, s sample) {
	all := h.samples
	out := 1 + int(all[i].leftOut)
	copy(all[i:], all[i+1:])
	all[len(all)-1] = s
	all[i].leftOut = uint16(min(int(all[i].leftOut)+out, math.MaxUint16)) //nolint:gosec // bounded
}

// leastBent is the sample from one up to another at which lines through all of them bend least. What held before it must
// be what holds at it.
func (h *History) leastBent(from, to int) int {
	least, bent := from, math.Inf(1)
	for i := from; i < to; i++ {
		a, s, b := h.samples[i-1], h.samples[i], h.samples[i+1]
		if h.termsAt(a) != h.termsAt(s) {
			continue
		}
		part := 0.5
		if b.at > a.at {
			part = float64(s.at-a.at) / float64(b.at-a.at)
		}
		off := func(a, s, b float64) float64 { return math.Abs(s - a - part*(b-a)) }
		if d := off(a.reported, s.reported, b.reported) + off(a.distance(), s.distance(), b.distance()); d < bent {
			least, bent = i, d
		}
	}
	return least
}

// distance is by how much the counter is ahead of the row, in USD; 0 where there is no counter.
func (s sample) distance() float64 {
	if math.IsNaN(s.counter) {
		return 0
	}
	return s.counter - s.reported
}

// same says that nothing changed from a sample to one after it.
func (h *History) same(now, before sample) bool {
	return (now.reported == before.reported || math.IsNaN(now.reported) && math.IsNaN(before.reported)) &&
		(now.counter == before.counter || math.IsNaN(now.counter) && math.IsNaN(before.counter)) &&
		h.termsAt(now) == h.termsAt(before)
}

func amount(o budget.Optional[float64]) float64 {
	if !o.Known {
		return nan
	}
	return o.Value
}

func value(c budget.Counter) float64 {
	if c.State != budget.CounterPresent {
		return nan
	}
	return c.Value
}

func known(v float64) budget.Optional[float64] {
	if math.IsNaN(v) {
		return budget.Optional[float64]{}
	}
	return budget.Some(v)
}
