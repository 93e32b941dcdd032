package recorded

import (
	"slices"
	"testing"
)

func TestReleasesAreOldestFirst(t *testing.T) {
	want := []string{"1.83.14", "1.84.0", "1.86.2", "1.87.5", "1.90.7", "1.101.6", "1.106.10", "1.108.11", "1.109.1"}
	if got := Releases(); !slices.Equal(got, want) {
		t.Errorf("releases %v, want %v", got, want)
	}
}

func TestEveryReleaseHasTheListsAndBothSources(t *testing.T) {
	for _, release := range Releases() {
		for _, name := range []string{"key-list-full", "v2-team-list", "v2-key-info", "key-info", "team-info", "budget-list"} {
			a, err := Load(release, name)
			if err != nil {
				t.Error(err)
				continue
			}
			if a.Status != 200 || a.Request.Path == "" || len(a.Body) == 0 {
				t.Errorf("%s/%s: status %d, path %q, %d bytes", release, name, a.Status, a.Request.Path, len(a.Body))
			}
		}
		for _, name := range []string{"redis", "database", "about"} {
			if _, err := Raw(release, name); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLoadRefusesWhatIsNoAnswer(t *testing.T) {
	for _, name := range []string{"redis", "not-recorded"} {
		if _, err := Load("1.84.0", name); err == nil {
			t.Errorf("%s was loaded as an answer", name)
		}
	}
}
