package cause

import (
	"math"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// mostSamples bounds the samples of one history, which span the last minutes of movement, whatever the intervals.
	mostSamples = 16
	spanned     = 4 * time.Minute
	// together is how close two readings lie that belong to one sample, as a row and the counter read after it do.
	together = 5 * time.Second
	// keptFor is for how long a history is of use after the last movement, where nothing diverges.
	keptFor = 10 * time.Minute

	// nearZero is the fraction of what it was to which a row falls at a reset: what was spent since is in it already.
	nearZero = 0.05
	// cent is the least amount of USD that a landmark is made of.
	cent = 0.01
	// farAbove is by how many times a rise of the row exceeds the usual ones to be taken for an edit.
	farAbove = 5
)

// nan stands for a side that is not known.
var nan = math.NaN()

// History is how the two sides of one entity moved: the last samples, and landmarks, which do not age out while a
// divergence persists. Its size is bounded (about 1 KB); an entity that does not move needs none.
type History struct {
	samples []sample  // oldest first
	began   time.Time // the first reading of the newest sample
	moved   time.Time

	onset  bool       // begun at the first sight of an entity that diverged already
	first  [2]float64 // reported and counter, as the history began; USD
	calm   calm
	reset  reset
	edit   step
	seed   step
	jump   step
	fall   fall
	lasted time.Duration // the lowest TTL since the counter last changed

	due     budget.Optional[time.Time] // the next reset, as last read
	stalled bool                       // the rows of the fleet stood still since the two sides last agreed

	restarts int // times the counter came back far below the row after its life was over
}

// sample is both sides at one time. There can be 100 000 histories of them.
type sample struct {
	at       int64   // Unix time in ms
	reported float64 // USD; NaN = unknown
	counter  float64 // USD; NaN = none
	ttl      float32 // seconds; −1 = for ever
}

// calm is the last time the two sides agreed.
type calm struct {
	at                time.Time
	reported, counter float64
	rises             int     // of the counter since, each at least a tenth of the divergence that it made
	largest           float64 // USD, of all rises
}

// reset is a row that started again: it fell to about 0, or its reset date moved forward.
type reset struct {
	at                time.Time
	reported, counter float64 // before
	lowest            float64 // of the counter, since
}

// step is a change of one side at one reading.
type step struct {
	at       time.Time
	usd      float64 // by how much; of a seed: the value that the counter came back with
	reported float64 // as known then
}

// fall is a counter that fell below its row.
type fall struct {
	at            time.Time
	from, to      float64
	reported      float64
	begun         bool // the counter came back with it, after its life was over
	fell, counted int  // how many counters of the fleet fell in that reading, of how many
}

// Begin returns the history of an entity as last read. onset says that it diverges at its first sight, so that what
// brought it about was not seen.
func Begin(row *budget.Row, c budget.Counter, onset bool) *History {
	h := &History{onset: onset, lasted: c.TTL, due: row.ResetAt}
	at := row.ReadAt
	if c.ReadAt.After(at) {
		at = c.ReadAt
	}
	h.first = [2]float64{amount(row.Spend), value(c)}
	h.moved = at
	h.add(at, row, c)
	if !onset {
		h.calmAt(at)
	} else if h.first[1] < h.first[0]-cent {
		h.fall = fall{at: at, from: nan, to: h.first[1], reported: h.first[0]}
	}
	return h
}

// Row takes in two successive readings of the row, each with the reset date that goes with it, and the counter last
// read.
func (h *History) Row(before, now *budget.Row, resetBefore, resetNow budget.Optional[time.Time], c budget.Counter) {
	defer h.add(now.ReadAt, now, c)
	h.due = resetNow
	if !before.Spend.Known || !now.Spend.Known {
		return
	}
	was, is := before.Spend.Value, now.Spend.Value
	dateMoved := resetBefore.Known && resetNow.Known && resetNow.Value.After(resetBefore.Value)
	switch {
	case was > cent && (dateMoved || is <= nearZero*was):
		h.reset = reset{now.ReadAt, was, value(c), h.lowestSince(before.ReadAt, c)}
	case is < was-cent:
		h.edit = step{now.ReadAt, is - was, was}
	case is > was+cent && h.unheardOf(is-was) && value(c) < is-cent:
		h.edit = step{now.ReadAt, is - was, was}
	}
	if is != was {
		h.moved = now.ReadAt
	}
}

// Counter takes in two successive readings of the counter and the row last read, and says whether the counter fell
// below the row.
func (h *History) Counter(before, now budget.Counter, row *budget.Row) (fell bool) {
	defer h.add(now.ReadAt, row, now)
	was, is, reported := value(before), value(now), amount(row.Spend)
	if was != is && !(math.IsNaN(was) && math.IsNaN(is)) {
		h.moved, h.lasted = now.ReadAt, now.TTL
	} else {
		h.lasted = min(h.lasted, now.TTL)
	}
	switch {
	case now.State == budget.CounterAbsent:
		h.reset.lowest = 0
		return false
	case now.State != budget.CounterPresent:
		return false
	}
	h.reset.lowest = min(h.reset.lowest, is)
	cameBack := before.State == budget.CounterAbsent || is != was && ranOut(before, now)
	switch {
	case cameBack:
		h.seed = step{now.ReadAt, is, reported}
		if is < reported/2 && is < reported-cent {
			h.restarts++
		}
	case before.State != budget.CounterPresent:
		return false
	case is > was:
		h.calm.largest = max(h.calm.largest, is-was)
		if is-was >= (is-reported)/10 {
			h.calm.rises++
		}
		if is-was > max(cent, 0.9*reported) {
			h.jump = step{now.ReadAt, is - was, reported}
			if before.ReadAt.Sub(h.seed.at) < together { // a reading came between the copies of a seed
				h.seed.usd = is
			}
		}
	}
	// One that was far below already did not fall now; a little below is a row that was read again since.
	if math.IsNaN(reported) || is >= reported-cent || !cameBack && (is >= was || reported-was > (reported-is)/2) {
		return false
	}
	h.fall = fall{at: now.ReadAt, from: was, to: is, reported: reported, begun: cameBack}
	return true
}

// Agrees takes in that the two sides, as last taken in, are within the tolerance of each other.
func (h *History) Agrees(at time.Time) {
	h.onset, h.stalled = false, false
	h.calmAt(at)
}

// Stalled takes in that the rows of the whole fleet have stood still for so long that nothing is brought to them.
func (h *History) Stalled() { h.stalled = true }

func (h *History) calmAt(at time.Time) {
	last := h.samples[len(h.samples)-1]
	h.calm = calm{at: at, reported: last.reported, counter: last.counter}
}

// FallenAt is when the counter last fell below its row; zero if it never did.
func (h *History) FallenAt() time.Time { return h.fall.at }

// FleetFell takes in how many of how many counters of the fleet fell in the reading in which this one did.
func (h *History) FleetFell(fell, counted int) { h.fall.fell, h.fall.counted = fell, counted }

// Idle says that the history is of no use any more, if nothing diverges.
func (h *History) Idle(now time.Time) bool { return now.Sub(h.moved) > keptFor }

// Samples lists the samples, oldest first.
func (h *History) Samples() []budget.Sample {
	samples := make([]budget.Sample, len(h.samples))
	for i, s := range h.samples {
		samples[i] = budget.Sample{At: time.UnixMilli(s.at).UTC(), Reported: known(s.reported), Counter: known(s.counter)}
		if samples[i].Counter.Known {
			samples[i].TTL = time.Duration(float64(s.ttl) * float64(time.Second))
			if s.ttl < 0 {
				samples[i].TTL = budget.NoExpiry
			}
		}
	}
	return samples
}

// add keeps both sides as they are now. Readings close together are one sample, and of a time in which nothing moved
// only the ends are kept.
func (h *History) add(at time.Time, row *budget.Row, c budget.Counter) {
	s := sample{at.UnixMilli(), amount(row.Spend), value(c), float32(c.TTL.Seconds())}
	if c.TTL == budget.NoExpiry {
		s.ttl = -1
	}
	n := len(h.samples)
	if n >= 2 && (at.Sub(h.began) < together || s.same(h.samples[n-1]) && s.same(h.samples[n-2])) {
		h.samples[n-1] = s
		return
	}
	h.began = at
	if n == mostSamples {
		least := 0
		if at.UnixMilli()-h.samples[0].at < spanned.Milliseconds() {
			least = h.leastTelling()
		}
		h.samples = slices.Delete(h.samples, least, least+1)
	}
	h.samples = append(h.samples, s)
}

// leastTelling is the sample, neither the first nor the last, at which the two sides moved least apart.
func (h *History) leastTelling() int {
	least, moved := 1, math.Inf(1)
	for i := 1; i < len(h.samples)-1; i++ {
		if d := math.Abs(h.samples[i].distance() - h.samples[i-1].distance()); d < moved {
			least, moved = i, d
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

func (s sample) same(o sample) bool {
	return (s.reported == o.reported || math.IsNaN(s.reported) && math.IsNaN(o.reported)) &&
		(s.counter == o.counter || math.IsNaN(s.counter) && math.IsNaN(o.counter))
}

// lowestSince is the lowest that the counter was known to be from a time on: 0 if it is gone.
func (h *History) lowestSince(t time.Time, c budget.Counter) float64 {
	lowest := math.Inf(1)
	switch c.State {
	case budget.CounterPresent:
		lowest = c.Value
	case budget.CounterAbsent:
		return 0
	}
	for _, s := range h.samples {
		if s.at >= t.UnixMilli() && s.counter < lowest {
			lowest = s.counter
		}
	}
	return lowest
}

// unheardOf says that a rise of the row is far above those that the samples show.
func (h *History) unheardOf(rise float64) bool {
	usual := 0.0
	for i := 1; i < len(h.samples); i++ {
		a, b := h.samples[i-1], h.samples[i]
		if d := b.reported - a.reported; d > usual {
			usual = d
		}
		if d := b.counter - a.counter; d > usual {
			usual = d
		}
	}
	return rise > farAbove*usual
}

// ranOut says that the counter's life can have ended between two readings.
func ranOut(before, now budget.Counter) bool {
	return before.State == budget.CounterPresent && before.TTL != budget.NoExpiry && now.ReadAt.Sub(before.ReadAt) >= before.TTL
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
