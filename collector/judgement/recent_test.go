package judgement

import (
	"testing"
	"time"
)

func TestRecentMax(t *testing.T) {
	const hour = 3600.0
	var r recentMax
	for _, s := range []struct{ hours, usd, want float64 }{
		{0, 5, 5}, {1, 3, 5}, {23, 1, 5}, // within the day
		{25, 1, 5}, {40, 2, 5}, // the day after
		{50, 1, 2}, // the first is over
		{120, 1, 1},
	} {
		r.add(s.usd, at(s.hours*hour), usualFor)
		if got := r.at(at(s.hours*hour), usualFor); got != s.want {
			t.Errorf("after %v hours: %v, want %v", s.hours, got, s.want)
		}
	}
	for hours, want := range map[float64]float64{143: 1, 145: 1, 167: 1, 169: 0} {
		if got := r.at(at(hours*hour), usualFor); got != want {
			t.Errorf("nothing more was seen, after %v hours: %v, want %v", hours, got, want)
		}
	}
	if got := new(recentMax).at(time.Now(), usualFor); got != 0 {
		t.Errorf("%v of nothing", got)
	}
}
