package budget

// Release is the LiteLLM release in use and the rules that go with it.
type Release struct {
	Version string // "1.84.0"; "" = not detected
	Rules   Rules
	Assumed bool // the rules are those of the newest known release, because Version is empty, newer or unreadable
}

// Rules is how a release differs from others in what the exporter relies on.
type Rules struct {
	// RaisesStaleLow: a counter below the cap is raised to the row's spend at the next request (1.90.0 and later).
	RaisesStaleLow bool
	// NaiveExpiryIsUTC: a temporary increase's expiry without a zone is UTC (1.94.3 and later).
	NaiveExpiryIsUTC bool
	// KeyInfoRaisesWindows: /key/info and /v2/key/info of a key with windows can raise its window
	// counters in Redis (somewhere after 1.97.0, surely from 1.101.6 on).
	KeyInfoRaisesWindows bool
}

// ReleaseOf finds the rules of a version as LiteLLM reports it.
func ReleaseOf(version string) Release {
	panic("not yet")
}
