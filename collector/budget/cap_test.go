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
