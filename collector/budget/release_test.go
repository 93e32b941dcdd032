package budget

import "testing"

func TestReleaseOf(t *testing.T) {
	for _, c := range []struct {
		version string
		rules   Rules
		assumed bool
	}{
		{"1.82.6", Rules{}, false},
		{"1.83.3", Rules{Counters: true}, false},
		{"1.84.0", Rules{Counters: true}, false},
		{"1.84.0-stable", Rules{Counters: true}, false},
		{"v1.88.0", Rules{Counters: true}, false},
		{"1.89.4", Rules{Counters: true}, false},
		{"1.90.0rc1", Rules{Counters: true}, false}, // not yet it
		{"1.93.0", Rules{Counters: true, RaisesStaleLow: true}, false},
		{"1.94.2", Rules{Counters: true, RaisesStaleLow: true}, false},
		{"1.94.3", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true}, false},
		{"1.97.0", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true}, false},
		{"1.101.6", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true}, false},
		{"1.103.11", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true}, false},
		{"1.97.1", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true}, false},
		{"1.109.1", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, false},
		{"1.109.2", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, true},
		{"2.0.0", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, true},
		{"", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, true},
		{"main", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, true},
		{"1.84", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}, true},
	} {
		got := ReleaseOf(c.version)
		if got != (Release{Version: c.version, Rules: c.rules, Assumed: c.assumed}) {
			t.Errorf("ReleaseOf(%q) = %+v", c.version, got)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.84.0", "1.84.0", 0},
		{"1.84.0", "1.84.0-stable", 0},
		{"1.9.0", "1.84.0", -1},
		{"1.109.1", "1.84.10", 1},
		{"1.84.2", "1.84.10", -1},
		{"1.84.1rc1", "1.84.1", -1},
		{"1.84.1-nightly", "1.84.1", -1},
		{"1.84.1.dev3", "1.84.0", 1},
		{"1.84.1.post1", "1.84.1", 1},
		{"1.84.1.post1", "1.84.2", -1},
		{"v1.84.1-stable", "1.84.1", 0},
		{"1.84.1-debug", "1.84.1", 0}, // of the same, for another use
		{"1.84.0", "unreadable", -1},
		{"", "1.84.0", 1},
	} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestAtLeastAndOlderThan(t *testing.T) {
	for _, c := range []struct {
		version        string
		atLeast, older bool // of 1.84.0
	}{
		{"1.83.14", false, true},
		{"1.84.0", true, false},
		{"v1.84.0-stable", true, false},
		{"1.104.0", true, false},
		{"", false, false},
		{"main", false, false},
		{"1.84", false, false},
	} {
		r := ReleaseOf(c.version)
		if r.AtLeast("1.84.0") != c.atLeast || r.OlderThan("1.84.0") != c.older {
			t.Errorf("%q: at least 1.84.0: %v, older: %v", c.version, r.AtLeast("1.84.0"), r.OlderThan("1.84.0"))
		}
	}
}
