package budget

import "testing"

func TestCapBoundary(t *testing.T) {
	for _, c := range []struct {
		cap, spend     float64
		reached, below bool
	}{
		{10, 10, true, false},
		{10, 9.9999999999, true, false}, // a counter pinned by a shrunk reservation
		{5, 4.9999999999999998, true, false},
		{10, 9.9999, false, true},
		{1e12, 1e12 - 1, true, false},
		{0, 0, true, false},
	} {
		k := Cap{State: CapKnown, Low: c.cap, High: c.cap}
		if k.ReachedBy(c.spend) != c.reached || k.Above(c.spend) != c.below {
			t.Errorf("cap %v, spend %v: reached %v, below %v", c.cap, c.spend, k.ReachedBy(c.spend), k.Above(c.spend))
		}
	}
}

func TestPins(t *testing.T) {
	ten := Cap{State: CapKnown, Low: 10, High: 10}
	for _, c := range []struct {
		cap     Cap
		counter float64
		want    bool
	}{
		{ten, 10, true},
		{ten, 10.000349, true}, // a request beside it cost more than was reserved for it
		{ten, 9.985, true},
		{ten, 10.03, false},
		{ten, 9.97, false},
		{ten, 0, false},
		{Cap{State: CapKnown, Low: 10, High: 15}, 10, false}, // it is not known which of the two it is
		{Cap{State: CapUnlimited}, 0, false},
	} {
		if got := c.cap.Pins(c.counter); got != c.want {
			t.Errorf("a counter of %v at %v: %t", c.counter, c.cap, got)
		}
	}
}
