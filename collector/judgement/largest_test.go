package judgement

import (
	"testing"
	"time"
)

func TestTheLargestOfADayOrTwo(t *testing.T) {
	const hour = 3600.0
	var l largest
	for _, s := range []struct{ hours, usd, want float64 }{
		{0, 5, 5}, {1, 3, 5}, {23, 1, 5}, // within the day
		{25, 1, 5}, {40, 2, 5}, // the day after
		{50, 1, 2}, // the first is over
		{120, 1, 1},
	} {
		l.add(s.usd, at(s.hours*hour))
		if got := l.lately(at(s.hours * hour)); got != s.want {
			t.Errorf("after %v hours: %v, want %v", s.hours, got, s.want)
		}
	}
	for hours, want := range map[float64]float64{143: 1, 145: 1, 167: 1, 169: 0} {
		if got := l.lately(at(hours * hour)); got != want {
			t.Errorf("nothing more was seen, after %v hours: %v, want %v", hours, got, want)
		}
	}
	if got := new(largest).lately(time.Now()); got != 0 {
		t.Errorf("%v of nothing", got)
	}
}
