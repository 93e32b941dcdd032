package budget

import "testing"

func TestAffected(t *testing.T) {
	yes, no, unknown := Some(true), Some(false), Optional[bool]{}
	for _, c := range []struct {
		version string
		cause   Cause
		want    Optional[bool]
	}{
		{"1.84.0", ReseedMultiple, yes},
		{"v1.84.0-stable", ReseedMultiple, yes},
		{"1.84.1", ReseedMultiple, no},
		{"1.84.1rc1", ReseedMultiple, unknown}, // before the mend, or with it
		{"1.84.1-nightly", ReseedMultiple, unknown},
		{"1.86.3.dev2", ReseedMultiple, unknown},
		{"1.109.1.post1", ReseedMultiple, unknown}, // newer than what was read
		{"1.84.5", ReseedMultiple, no},
		{"1.84.11", ReseedMultiple, unknown}, // 1.84.10 is mended, 1.85.0 is not
		{"1.85.0", ReseedMultiple, yes},
		{"1.85.1", ReseedMultiple, unknown}, // a later patch than was read may have the mend
		{"1.86.1", ReseedMultiple, yes},
		{"1.86.3", ReseedMultiple, no},
		{"1.87.0", ReseedMultiple, no},
		{"1.109.1", ReseedMultiple, no},
		{"1.109.2", ReseedMultiple, unknown},
		{"1.80.0", ReseedMultiple, unknown},
		{"", ReseedMultiple, unknown},
		{"main", ReseedMultiple, unknown},
		{"1.83.3", ReseedMultiple, unknown},

		{"1.108.5", Negative, yes},
		{"1.108.6", Negative, no},
		{"1.108.8", Negative, no},
		{"1.109.0", Negative, unknown},
		{"1.109.1", Negative, yes},
		{"1.102.4", Negative, no},

		{"1.88.0", CounterLost, yes},
		{"1.89.0", CounterLost, unknown},
		{"1.90.0", CounterLost, no},
		{"1.83.14", CounterRestart, yes},
		{"1.84.0", CounterRestart, no},
		{"1.87.0", Undercount, unknown},
		{"1.101.6", Undercount, yes},
		{"1.102.4", Undercount, no},
		{"1.103.11", Undercount, yes},
		{"1.101.6", Immortal, yes},
		{"1.102.0", Immortal, unknown},
		{"1.102.4", Immortal, no},
		{"1.88.0", ResetUndone, no},
		{"1.90.0", ResetUndone, yes},
		{"1.88.3", PinnedAtCap, yes}, // no release is free of it, so none can have a mend
		{"1.83.14", PinnedAtCap, no},
		{"1.82.6", StaleAfterReset, no},
		{"1.84.0", Unexplained, unknown},
		{"1.84.0", "nonsense", unknown},
	} {
		if got := Affected(c.version, c.cause); got != c.want {
			t.Errorf("Affected(%q, %s) = %+v, want %+v", c.version, c.cause, got, c.want)
		}
	}
}

func TestReleasesAreInOrder(t *testing.T) {
	for i := 1; i < len(releases); i++ {
		if releases[i-1].version.compare(releases[i].version) >= 0 {
			t.Errorf("%v stands after %v", releases[i].version, releases[i-1].version)
		}
	}
}
