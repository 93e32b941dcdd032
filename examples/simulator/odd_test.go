package simulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// TestAgentsAreTags: from 1.84.0 on, when tags came to have counters, those of a User-Agent have too.
func TestAgentsAreTags(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string][]string{
		"1.83.14": nil,
		"1.84.0":  {"spend:tag:User-Agent: curl", "spend:tag:User-Agent: curl/7.88.1"},
		"1.101.6": {"spend:tag:User-Agent: curl", "spend:tag:User-Agent: curl/7.88.1"},
	} {
		t.Run(release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: release})
			k := l.AddKey(simulator.Key{})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://litellm/v1/chat/completions",
				strings.NewReader(`{"model":"gpt-mock","messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+k.Raw)
			r.Header.Set("User-Agent", "curl/7.88.1")
			response, err := clientOf(l.Simulator).Do(r)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatal(err, response.StatusCode)
			}
			_ = response.Body.Close()
			var got []string
			for name := range l.values() {
				if strings.HasPrefix(name, "spend:tag:") {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("counters of tags: %q, want %q", got, want)
			}
		})
	}
}
