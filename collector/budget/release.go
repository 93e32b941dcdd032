package budget

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
)

// Release is the LiteLLM release in use and the rules that go with it.
type Release struct {
	Version string // as LiteLLM reports it: "1.84.0"; "" = not detected
	Rules   Rules
	Assumed bool // the rules are the newest known ones, because Version is empty, unreadable or newer than them
}

// Rules is how releases differ in what the exporter relies on.
type Rules struct {
	// Counters: admission compares a counter in Redis with the cap. Up to 1.82.6 it compares the row's spend.
	Counters bool
	// RaisesStaleLow: a counter below the cap is raised to the row's spend at the next request (1.90.0 and later).
	RaisesStaleLow bool
	// NaiveExpiryIsUTC: the expiry of a temporary increase that has no time zone is UTC (1.94.3 and later),
	// not the server's local time (1.93.0 and earlier).
	NaiveExpiryIsUTC bool
	// KeyInfoRaisesWindows: /key/info and /v2/key/info of a key that has windows compute budget_limits_usage
	// through the enforcement reader, which can raise a window's counter in Redis. It came after 1.97.0 and
	// was there in 1.101.6; a release between the two is taken for one that has it.
	KeyInfoRaisesWindows bool
}

// releases holds the first release that was read of each set of rules, oldest first. A patch line that got a
// backport has rows of its own, before the next line's first.
var releases = []struct {
	version string
	rules   Rules
}{
	{"0.0.0", Rules{}},
	{"1.83.0", Rules{Counters: true}},
	{"1.90.0", Rules{Counters: true, RaisesStaleLow: true}},
	{"1.94.3", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true}},
	{"1.97.1", Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true}},
}

// newestRead is the newest release whose behaviour was read.
const newestRead = "1.109.1"

// ReleaseOf finds the rules of a version as LiteLLM reports it. A version that cannot be read, or is newer
// than every release that was read, takes the newest known rules, and says so.
func ReleaseOf(version string) Release {
	newest := releases[len(releases)-1].rules
	v, ok := parseVersion(version)
	read, _ := parseVersion(newestRead)
	if !ok || slices.Compare(v[:], read[:]) > 0 {
		return Release{Version: version, Rules: newest, Assumed: true}
	}
	found := releases[0].rules
	for _, r := range releases {
		if first, _ := parseVersion(r.version); slices.Compare(first[:], v[:]) <= 0 {
			found = r.rules
		}
	}
	return Release{Version: version, Rules: found}
}

// CompareVersions orders two versions as LiteLLM reports them by their three numbers: -1, 0 or 1. One that
// cannot be read comes after every one that can.
func CompareVersions(a, b string) int {
	va, okA := parseVersion(a)
	vb, okB := parseVersion(b)
	switch {
	case okA && okB:
		return slices.Compare(va[:], vb[:])
	case okA:
		return -1
	case okB:
		return 1
	}
	return cmp.Compare(a, b)
}

var versionPattern = regexp.MustCompile(`^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:$|[^\d])`)

// parseVersion reads the three numbers; what follows them ("-stable", "rc1", ".post1") does not count.
func parseVersion(s string) (v [3]int, ok bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // at most six digits
	}
	return v, true
}
