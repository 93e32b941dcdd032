package budget

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	// RenewsLease: a request in flight re-arms the TTL of the counters that it reserved on every 30 s, so that it never
	// falls below that (1.104.0 and later).
	RenewsLease bool
}

// release is one release that was read. A patch line that got a backport has rows of its own, before the next line's.
type release struct {
	version version
	rules   Rules
	causes  []string // y, n or ? for each of Causes
}

func row(name string, rules Rules, causes string) release {
	v, ok := parseVersion(name)
	letters := strings.Fields(causes)
	if !ok || len(letters) != len(Causes)-1 { // nobody reads releases for what is unexplained
		panic("the table of releases is wrong at " + name)
	}
	return release{v, rules, letters}
}

// ReleaseOf finds the rules of a version as LiteLLM reports it. A version that cannot be read, or is newer
// than every release that was read, takes the newest known rules, and says so. One that lies between two that were
// read takes those of the older, but for what it must not be mistaken in: that it has counters, and that asking for a
// key can raise its windows.
func ReleaseOf(name string) Release {
	v, ok := parseVersion(name)
	older, newer := neighbours(v)
	switch {
	case !ok || newer == nil:
		return Release{Version: name, Rules: releases[len(releases)-1].rules, Assumed: true}
	case older == nil:
		return Release{Version: name, Rules: newer.rules}
	}
	rules := older.rules
	rules.Counters = rules.Counters || newer.rules.Counters
	rules.KeyInfoRaisesWindows = rules.KeyInfoRaisesWindows || newer.rules.KeyInfoRaisesWindows
	return Release{Version: name, Rules: rules}
}

// Affected says whether keys and teams can suffer from a cause in the release of a version, as LiteLLM reports it. It
// is unknown for a version that cannot be read, or is newer or older than every release that was read; between two
// that differ; and where a later patch of a line than was read may have brought back a mend that a newer release has.
func Affected(name string, c Cause) Optional[bool] {
	v, ok := parseVersion(name)
	older, newer := neighbours(v)
	i := slices.Index(Causes, c)
	if !ok || older == nil || newer == nil || c == Unexplained || i < 0 || older.causes[i] != newer.causes[i] {
		return Optional[bool]{}
	}
	switch older.causes[i] {
	case "n":
		return Some(false)
	case "y":
		if older.version.sameLine(v) && !newer.version.sameLine(v) && mendedAfter(v, i) {
			return Optional[bool]{}
		}
		return Some(true)
	}
	return Optional[bool]{}
}

// neighbours are the nearest releases that were read, not newer and not older than a version: the same one twice if
// it was read itself, nil where there is none.
func neighbours(v version) (older, newer *release) {
	i, exact := slices.BinarySearchFunc(releases, v, func(r release, v version) int { return r.version.compare(v) })
	if exact {
		return &releases[i], &releases[i]
	}
	if i > 0 {
		older = &releases[i-1]
	}
	if i < len(releases) {
		newer = &releases[i]
	}
	return older, newer
}

// mendedAfter says whether a release newer than a version is free of a cause.
func mendedAfter(v version, cause int) bool {
	return slices.ContainsFunc(releases, func(r release) bool {
		return r.version.compare(v) > 0 && r.causes[cause] == "n"
	})
}

// CompareVersions orders two versions as LiteLLM reports them: -1, 0 or 1. A candidate comes before its release, a
// post-release after it; a version that cannot be read comes after every one that can.
func CompareVersions(a, b string) int {
	va, okA := parseVersion(a)
	vb, okB := parseVersion(b)
	switch {
	case okA && okB:
		return va.compare(vb)
	case okA:
		return -1
	case okB:
		return 1
	}
	return cmp.Compare(a, b)
}

// AtLeast says that the release is known to be a version or newer; one that cannot be read is not known to be.
func (r Release) AtLeast(version string) bool {
	_, known := parseVersion(r.Version)
	return known && CompareVersions(r.Version, version) >= 0
}

// OlderThan says that the release is known to be older than a version; one that cannot be read is not known to be.
func (r Release) OlderThan(version string) bool { return CompareVersions(r.Version, version) < 0 }

var versionPattern = regexp.MustCompile(`^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:$|[-._]?(?:(a|b|rc|alpha|beta|pre|dev|nightly)|(post|patch))(?:$|[^a-z])|[^\d])`)

// version is major, minor and patch, and -1 for what came before that release, 1 for what came after it, else 0.
// Releases of one major and minor are a line.
type version [4]int

func (v version) compare(o version) int { return slices.Compare(v[:], o[:]) }

func (v version) sameLine(o version) bool { return v[0] == o[0] && v[1] == o[1] }

// parseVersion reads the three numbers, and whether what follows them makes it another release ("rc1", ".dev3", ".post1")
// or not ("-stable").
func parseVersion(s string) (v version, ok bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for i := range 3 {
		v[i], _ = strconv.Atoi(m[i+1]) // at most six digits
	}
	switch {
	case m[4] != "":
		v[3] = -1
	case m[5] != "":
		v[3] = 1
	}
	return v, true
}
