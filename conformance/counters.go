package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"litellm_budget_exporter/conformance/recorded"
)

// Counter is a spend counter as Redis holds it.
type Counter struct {
	Type  string `json:"type"`
	Value string `json:"value"`
	PTTL  int64  `json:"pttl_ms"` // -1 = it never expires
}

// RecordedCounters are the counters that the recorded traffic of a release left in Redis, by their names, in which
// hashes stand as {personal} and the like, and the prefix as {prefix}.
func RecordedCounters(release string) (map[string]Counter, error) {
	var about struct {
		Hashes map[string]string `json:"key_hashes"`
	}
	everything := map[string]json.RawMessage{}
	for name, v := range map[string]any{"about": &about, "redis": &everything} {
		raw, err := recorded.Raw(release, name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, v); err != nil {
			return nil, fmt.Errorf("%s/%s.json: %w", release, name, err)
		}
	}
	counters := map[string]Counter{}
	for name, raw := range everything {
		if !strings.HasPrefix(name, "spend:") {
			continue
		}
		var c Counter
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", release, name, err)
		}
		counters[recordedPrefix.ReplaceAllString(Population{Hashes: about.Hashes}.Anonymous(name), "{prefix}")] = c
	}
	return counters, nil
}

var recordedPrefix = regexp.MustCompile(`rec\d+`)

// Anonymous writes the population's hashes and prefix in a name as placeholders.
func (p Population) Anonymous(name string) string {
	for key, hash := range p.Hashes {
		name = strings.ReplaceAll(name, hash, "{"+key+"}")
	}
	if p.Prefix != "" {
		name = strings.ReplaceAll(name, p.Prefix, "{prefix}")
	}
	return name
}

// longestLife is LiteLLM's default TTL of a counter, in milliseconds.
const longestLife = 60_000

// decimal is the text that INCRBYFLOAT leaves.
var decimal = regexp.MustCompile(`^-?\d+(\.\d+)?$`)

// CounterDifferences says how counters differ from the recorded ones in their names, types, encoding and life. The
// amounts may differ.
func CounterDifferences(want, got map[string]Counter) []string {
	var ds []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, there := got[name]; !there {
			ds = append(ds, name+": missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		c := got[name]
		w, there := want[name]
		switch {
		case !there:
			ds = append(ds, name+": not recorded")
		case c.Type != w.Type:
			ds = append(ds, fmt.Sprintf("%s: a %s, recorded a %s", name, c.Type, w.Type))
		case decimal.MatchString(c.Value) != decimal.MatchString(w.Value):
			ds = append(ds, fmt.Sprintf("%s: %q, recorded %q", name, c.Value, w.Value))
		case c.PTTL <= 0 || c.PTTL > longestLife:
			ds = append(ds, fmt.Sprintf("%s: expires in %d ms, recorded %d", name, c.PTTL, w.PTTL))
		}
	}
	return ds
}
