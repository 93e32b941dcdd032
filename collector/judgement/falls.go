package judgement

import (
	"slices"
	"time"
)

// mostCycles is how many cycles of the counters are remembered.
const mostCycles = 32

// falls counts, cycle by cycle, how many counters were read of entities that move or diverge, and how many of them fell
// below their rows: what happens to many at once is Redis's doing.
type falls struct {
	cycles []cycle // oldest first
	length time.Duration
}

type cycle struct {
	began         time.Time
	fell, counted int
}

// count takes in a reading of a counter.
func (f *falls) count(at time.Time) {
	n := len(f.cycles)
	if n == 0 || at.Sub(f.cycles[n-1].began) >= f.length {
		if n == mostCycles {
			f.cycles = append(f.cycles[:0], f.cycles[1:]...)
		}
		f.cycles = append(f.cycles, cycle{began: at})
	}
	f.cycles[len(f.cycles)-1].counted++
}

// fell takes in when a counter fell below its row, which its row may tell only later; zero if it did not.
func (f *falls) fell(at time.Time) {
	if c := f.cycleOf(at); c != nil {
		c.fell++
	}
}

// around is the cycle in which a reading was taken in; empty if it is not remembered.
func (f *falls) around(at time.Time) cycle {
	if c := f.cycleOf(at); c != nil {
		return *c
	}
	return cycle{}
}

func (f *falls) cycleOf(at time.Time) *cycle {
	for i := range slices.Backward(f.cycles) {
		if c := &f.cycles[i]; !at.Before(c.began) {
			return c
		}
	}
	return nil
}
