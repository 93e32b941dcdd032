package refusals

import (
	"testing"
	"time"
)

func request(n uint64, at time.Time) Refusal { return Refusal{Request: n, At: at} }

func TestWindowsOverlapAndStayShort(t *testing.T) {
	r := NewReader(at)
	for _, c := range []struct {
		after      time.Duration // of the start
		from, to   time.Duration
		readToEnds bool
	}{
		{time.Minute, -2 * time.Minute, time.Minute, true},
		{2 * time.Minute, -time.Minute, 2 * time.Minute, true},
		{3 * time.Minute, 0, 3 * time.Minute, false},
		{4 * time.Minute, 0, 4 * time.Minute, false}, // what was not read is not given up
		{time.Hour, 50 * time.Minute, time.Hour, true},
	} {
		from, to := r.Window(at.Add(c.after))
		if from != at.Add(c.from) || to != at.Add(c.to) {
			t.Errorf("after %v: from %v to %v, want %v to %v", c.after, from.Sub(at), to.Sub(at), c.from, c.to)
		}
		if c.readToEnds {
			r.Done(to)
		}
	}
}

func TestARefusalIsNewOnce(t *testing.T) {
	r := NewReader(at)
	count := func(read ...Refusal) int { return len(r.New(read)) }
	early, first, second := request(1, at.Add(-time.Second)), request(2, at.Add(time.Second)), request(3, at.Add(30*time.Second))
	if n := count(early, first, first); n != 1 {
		t.Errorf("%d new: those from before the start, or repeated, count", n)
	}
	r.Done(at.Add(time.Minute))
	late := request(4, at.Add(2*time.Second)) // written to the log with a delay
	if n := count(first, second, late); n != 2 {
		t.Errorf("%d new, want the two that were not read before", n)
	}
	for m := range 30 {
		r.Done(at.Add(time.Duration(m) * time.Minute))
	}
	if len(r.seen) != 0 {
		t.Errorf("%d are remembered for ever", len(r.seen))
	}
}
