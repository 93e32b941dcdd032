package cause

import (
	"math"
	"time"

	"litellm_budget_exporter/collector/budget"
)

const (
	// nearZero is the fraction of what it was to which a row falls at a reset: what was spent since is in it already.
	nearZero = 0.05
	// farDown is the fraction to which it can fall at one where much was spent since: an edit can be as large.
	farDown = 0.5
	// cent is the least amount of USD that a landmark is made of.
	cent = 0.01
	// nearlyAll is the part of what a counter fell by that the row must show for that to have been spend.
	nearlyAll = 0.9
	// farAbove is by how many times a rise of the row exceeds the usual ones to be taken for an edit.
	farAbove = 5
)

// calm is the last time the two sides agreed, or their first sight.
type calm struct {
	at                instant
	reported, counter float64
	largest           float64 // USD, of all rises
	rises             int     // of the counter since, each at least a tenth of the divergence that it made
}

// reset is a row that started again: it fell to about 0, or its reset date moved forward.
type reset struct {
	at                instant
	reported, counter float64 // before
	lowest            float64 // of the counter, since
}

// step is a change of one side at one reading.
type step struct {
	at       instant
	usd      float64 // by how much
	reported float64 // as known then
	usual    float64 // USD, the largest rise of either side before
}

// seed is a counter that came back.
type seed struct {
	at       instant
	usd      float64 // what it came back with
	reported float64 // as known then
	held     float64 // by the counter before it was gone: what had been spent then, where the row was not read since
}

// drop is the largest fall of a counter in the last minutes that was none below its row, as far as that was read.
type drop struct {
	at       instant
	from, to float64
}

// fall is a counter that fell below its row.
type fall struct {
	at            instant
	from, to      float64
	reported      float64
	fell, counted int32 // how many counters of the fleet fell in that reading, of how many
	begun         bool  // the counter came back with it, after its life was over
	late          bool  // that it was one was seen by its row only later
}

// Row takes in two successive readings of the row, each with the reset date that goes with it, and the counter last
// read.
func (h *History) Row(before, now *budget.Row, resetBefore, resetNow budget.Optional[time.Time], c budget.Counter) {
	defer h.add(now.ReadAt, now, c)
	h.due = instantOf(resetNow.Value)
	if before.Blocked != now.Blocked || before.MaxBudget != now.MaxBudget {
		h.moved = instantOf(now.ReadAt) // somebody did something about it
	}
	if !before.Spend.Known || !now.Spend.Known {
		return
	}
	was, is := before.Spend.Value, now.Spend.Value
	if is != was {
		h.moved = instantOf(now.ReadAt)
	}
	dateMoved := resetBefore.Known && resetNow.Known && resetNow.Value.After(resetBefore.Value)
	if was > cent && (dateMoved || is <= farDown*was) {
		h.reset = reset{instantOf(now.ReadAt), was, value(c), h.lowestSince(before.ReadAt, c)}
	}
	switch {
	case was > cent && (dateMoved || is <= nearZero*was): // no edit
	case is < was-cent: // or a reset: which of the two shows by what the counter is ahead of the row
		h.edit = step{instantOf(now.ReadAt), is - was, was, h.usualRise()}
	case is > was+cent && is-was > farAbove*h.usualRise() && value(c) < is-cent && !h.lost(is, value(c), now.ReadAt):
		h.edit = step{instantOf(now.ReadAt), is - was, was, h.usualRise()}
	}
}

// Counter takes in two successive readings of the counter and the row last read. It returns when the counter fell below
// the row, if that shows now; zero if it does not.
func (h *History) Counter(before, now budget.Counter, row *budget.Row) (fellAt time.Time) {
	defer h.add(now.ReadAt, row, now)
	was, is, reported := value(before), value(now), amount(row.Spend)
	if was != is && !(math.IsNaN(was) && math.IsNaN(is)) {
		h.moved, h.lasted = instantOf(now.ReadAt), now.TTL
	} else {
		h.lasted = min(h.lasted, now.TTL)
	}
	if before.State == budget.CounterPresent {
		h.held = was
	}
	switch {
	case now.State == budget.CounterAbsent:
		h.reset.lowest = 0
		return time.Time{}
	case now.State != budget.CounterPresent:
		return time.Time{}
	}
	h.reset.lowest = min(h.reset.lowest, is)
	cameBack := before.State == budget.CounterAbsent || is != was && ranOut(before, now)
	switch {
	case cameBack:
		h.seed, h.drop = seed{instantOf(now.ReadAt), is, reported, h.held}, drop{}
		if is < reported/2 && is < reported-cent {
			h.restarts++
		}
	case before.State != budget.CounterPresent:
		return time.Time{}
	case is > was:
		h.calm.largest = max(h.calm.largest, is-was)
		if is-was >= (is-reported)/10 {
			h.calm.rises++
		}
		if is-was > max(cent, 0.9*reported) {
			h.jump = step{at: instantOf(now.ReadAt), usd: is - was, reported: reported}
			if before.ReadAt.Sub(h.seed.at.time()) < together { // a reading came between the copies of a seed
				h.seed.usd = is
			}
		}
	}
	return h.fell(now.ReadAt, was, is, reported, cameBack)
}

// fell keeps that the counter fell below the row, and returns when, if a reading shows that.
func (h *History) fell(at time.Time, was, is, reported float64, cameBack bool) time.Time {
	short := reported - is
	known := h.fall.at >= h.calm.at && h.fall.at > max(h.seed.at, h.reset.at) && short <= h.fall.short()+budget.Noise(is)
	switch {
	case short > cent && known: // reservations were settled since
	// One that was far below already did not fall now; a little below is a row that was read again since.
	case short > cent && (cameBack || is < was && reported-was <= short/2):
		h.fall, h.drop = fall{at: instantOf(at), from: was, to: is, reported: reported, begun: cameBack}, drop{}
		return at
	case h.lost(reported, is, at):
		since := max(0, is-h.drop.to)
		h.fall = fall{at: h.drop.at, from: h.drop.from, to: h.drop.to, reported: reported - since, late: true}
		return h.fall.at.time()
	case !cameBack && is < was && (was-is >= h.drop.from-h.drop.to || !near(h.drop.at, instantOf(at))):
		h.drop = drop{instantOf(at), was, is}
	}
	return time.Time{}
}

// lost says that what the counter lately fell by is in the row, which had not shown it then: it was no reservation that was
// settled, but spend.
func (h *History) lost(reported, counter float64, at time.Time) bool {
	if !near(h.drop.at, instantOf(at)) {
		return false
	}
	spent := reported - max(0, counter-h.drop.to) // until it fell
	fell := h.drop.from - h.drop.to
	return spent-h.drop.to >= max(cent, nearlyAll*fell) && spent <= h.drop.from+budget.Noise(spent)
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
	for _, s := range h.recent() {
		if s.at >= h.ticks(t) && s.counter < lowest {
			lowest = s.counter
		}
	}
	return lowest
}

// usualRise is the largest rise of either side that the samples show, in USD.
func (h *History) usualRise() float64 {
	usual := 0.0
	recent := h.recent()
	for i := 1; i < len(recent); i++ {
		a, b := recent[i-1], recent[i]
		if d := b.reported - a.reported; d > usual {
			usual = d
		}
		if d := b.counter - a.counter; d > usual {
			usual = d
		}
	}
	return usual
}

// ranOut says that the counter's life can have ended between two readings.
func ranOut(before, now budget.Counter) bool {
	return before.State == budget.CounterPresent && before.TTL != budget.NoExpiry && now.ReadAt.Sub(before.ReadAt) >= before.TTL
}
