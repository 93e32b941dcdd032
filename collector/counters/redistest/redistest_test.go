package redistest_test

import (
	"testing"

	"litellm_budget_exporter/collector/counters/redistest"
)

func TestStandaloneServesWhatItsConfigurationSays(t *testing.T) {
	s := redistest.Standalone(t, "requirepass secret", "databases 3")
	s.Do(t, "SET", "spend:key:a", "1.5")
	if got := s.Do(t, "GET", "spend:key:a"); got != "1.5" {
		t.Errorf("GET gives %v, want 1.5", got)
	}
	if got := s.Do(t, "CONFIG", "GET", "databases").(map[any]any)["databases"]; got != "3" {
		t.Errorf("databases is %v, want 3", got)
	}
}

func TestServersDoNotShareState(t *testing.T) {
	one, two := redistest.Standalone(t), redistest.Standalone(t)
	one.Do(t, "SET", "a", "1")
	if got := two.Do(t, "GET", "a"); got != nil {
		t.Errorf("the second server holds %v of the first one", got)
	}
}
