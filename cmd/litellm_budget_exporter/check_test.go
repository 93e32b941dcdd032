package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/poller"
)

// TestTheNameThatIsGivenIsUnderstood has explain find whom check names: by an alias that can be typed and is one entity's, else
// by the id.
func TestTheNameThatIsGivenIsUnderstood(t *testing.T) {
	entity := func(id, alias string) *budget.Entity {
		return &budget.Entity{ID: budget.ID{Scope: budget.Key, Value: id}, Names: budget.Names{Alias: alias}}
	}
	s := &budget.Snapshot{Entities: map[budget.Scope][]*budget.Entity{budget.Key: {
		entity("1", "prod"), entity("2", "dup"), entity("3", "dup"), entity("4", "sk-prod"), entity("5", "a\nb"), entity("6", ""), entity("7", "-n"),
	}}}
	for id, want := range map[string]string{"1": "prod", "2": "2", "3": "3", "4": "4", "5": "5", "6": "6", "7": "-n"} {
		for _, e := range s.Entities[budget.Key] {
			if e.ID.Value == id && nameOf(e, s) != want {
				t.Errorf("%q is named %q, want %q", e.Names.Alias, nameOf(e, s), want)
			}
		}
	}
}

func TestCheckOutput(t *testing.T) {
	quiet := incidents()
	quiet.Entities = map[budget.Scope][]*budget.Entity{budget.Key: {{
		ID: budget.ID{Scope: budget.Key, Value: "a"}, Names: budget.Names{Alias: "well", TeamID: "t", TeamAlias: "Blue"},
		Reported: budget.Some(1.0), Enforced: budget.Some(1.0), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
		Cap: budget.Cap{State: budget.CapKnown, Low: 10, High: 10}, Verdict: budget.OK,
	}, {
		ID: budget.ID{Scope: budget.Key, Value: "b"}, Reported: budget.Some(1.0),
	}}}
	quiet.Fleets = map[budget.Scope]budget.Fleet{budget.Key: {
		Entities: 2, CapUnknown: 1, FalselyLocked: budget.Some(0), Bypassed: budget.Some(0), Diverging: map[budget.Cause]int{}, CountersPresent: budget.Some(0),
	}}
	noCounters := incidents()
	noCounters.Entities, noCounters.Fleets = nil, quiet.Fleets
	noCounters.FleetCauses = map[budget.FleetCause]bool{budget.NoSharedCounters: true, budget.FlushStalled: false}
	onlyReported := incidents()
	delete(onlyReported.Sources, budget.Redis)
	onlyReported.Entities = nil

	noneKept := incidents()
	noneKept.Release = budget.ReleaseOf("1.82.6")
	noneKept.Entities, noneKept.Fleets = nil, quiet.Fleets
	noneKept.FleetCauses = noCounters.FleetCauses

	open := incidents()
	suspected := *quiet.Entities[budget.Key][0]
	suspected.Suspected = &budget.Suspicion{Verdict: budget.FalselyLocked, Since: landingNow.Add(-time.Minute), Due: budget.Some(landingNow)}
	suspected.Enforced, suspected.Divergence = budget.Some(12.0), budget.Some(11.0)
	open.Entities, open.Fleets = map[budget.Scope][]*budget.Entity{budget.Key: {&suspected, quiet.Entities[budget.Key][1]}}, quiet.Fleets
	unread := *onlyReported
	unread.Sources = incidents().Sources

	for name, c := range map[string]struct {
		snapshot *budget.Snapshot
		code     int
	}{
		"incidents": {incidents(), 1}, "quiet": {quiet, 0}, "none-kept": {noneKept, 1}, "no-counters": {noCounters, 1},
		"suspected": {open, 2}, "only-reported": {onlyReported, 0}, "not-judged": {&unread, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := checked{c.snapshot, suspectedSince(c.snapshot, landingNow)}
			if code := s.exitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			var table, form bytes.Buffer
			if err := writeTable(&table, s, strangers); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("check", name+".txt"), table.Bytes())
			if err := writeJSON(&form, s); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("check", name+".json"), form.Bytes())
			if !json.Valid(form.Bytes()) {
				t.Error("it is no JSON")
			}
		})
	}
}

// strangers knows how far the reading of nobody has come.
func strangers(budget.ID) (poller.Standing, bool) { return poller.Standing{}, false }

// TestNotJudgedSaysWhy names for each of those without a verdict the reason that holds.
func TestNotJudgedSaysWhy(t *testing.T) {
	s := &budget.Snapshot{At: landingNow, Entities: map[budget.Scope][]*budget.Entity{}}
	known := map[budget.ID]poller.Standing{}
	add := func(id string, standing poller.Standing, e budget.Entity) {
		e.ID = budget.ID{Scope: budget.Key, Value: id}
		known[e.ID] = standing
		s.Entities[budget.Key] = append(s.Entities[budget.Key], &e)
	}
	of := func(id budget.ID) (poller.Standing, bool) { found, ok := known[id]; return found, ok }
	add("well", poller.Standing{}, budget.Entity{Verdict: budget.OK})
	if got := notJudged(s, of); got != "" {
		t.Errorf("everybody is judged: %q", got)
	}
	for _, id := range []string{"blocked", "blocked too"} {
		add(id, poller.Standing{Row: &budget.Row{Blocked: true}}, budget.Entity{})
	}
	add("expired", poller.Standing{Row: &budget.Row{Expires: budget.Some(landingNow)}}, budget.Entity{})
	add("throttled", poller.Standing{Row: &budget.Row{Throttled: true}}, budget.Entity{})
	add("suspected", poller.Standing{Row: &budget.Row{}, UndecidedSince: budget.Some(landingNow)}, budget.Entity{})
	add("unreadable", poller.Standing{Row: &budget.Row{}}, budget.Entity{Counter: budget.Counter{State: budget.CounterUnreadable}})
	add("no cap read", poller.Standing{Row: &budget.Row{}}, budget.Entity{Reported: budget.Some(1.0), Counter: budget.Counter{State: budget.CounterPresent}})
	add("no spend", poller.Standing{Row: &budget.Row{}}, budget.Entity{})
	want := "Not judged: 8 (2 blocked, 1 expired, 1 slowed down rather than refused, 1 suspected and not settled yet, 1 with a counter that is no number, " +
		"1 with a cap that is not known, 1 with a spend that is not known).\n"
	if got := notJudged(s, of); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it is not as in %s (write it anew with -update and read the difference):\n%s", file, got)
	}
}

// TestCheckSchema has the JSON form of a check have exactly these fields, and the README tell of each.
func TestCheckSchema(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, documented, _ := strings.Cut(string(readme), "\n### `check` in a script\n")
	documented, _, _ = strings.Cut(documented, "\n## ")
	hasExactly := func(t *testing.T, fields map[string]any, want ...string) {
		t.Helper()
		hasExactly(t, fields, want...)
		for _, name := range want {
			if !strings.Contains(documented, "`"+name+"`") && !strings.Contains(documented, "."+name+"`") {
				t.Errorf("the README does not tell of %s", name)
			}
		}
	}
	var form bytes.Buffer
	if err := writeJSON(&form, checked{Snapshot: incidents()}); err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(form.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	hasExactly(t, all, "litellm_version", "checked_at", "undecided", "entities", "fleet")
	entities, _ := all["entities"].([]any)
	if len(entities) != 6 {
		t.Fatalf("%d entities, want all 6", len(entities))
	}
	for _, e := range entities {
		fields, _ := e.(map[string]any)
		hasExactly(t, fields, "scope", "id", "alias", "team", "team_alias", "reported_usd", "enforced_usd", "max_budget_usd",
			"divergence_usd", "tolerance_usd", "verdict", "suspected", "cause", "confidence", "evidence")
	}
	fleet, _ := all["fleet"].(map[string]any)
	hasExactly(t, fleet, "scopes", "causes")
	scopes, _ := fleet["scopes"].(map[string]any)
	hasExactly(t, scopes, "key", "team")
	key, _ := scopes["key"].(map[string]any)
	hasExactly(t, key, "entities", "cap_unknown", "falsely_locked", "bypassed", "diverging", "counters_present", "reported_sum_usd", "enforced_sum_usd")
	causes, _ := fleet["causes"].(map[string]any)
	hasExactly(t, causes, "flush_stalled", "no_shared_counters")
}

func hasExactly(t *testing.T, fields map[string]any, want ...string) {
	t.Helper()
	got := []string{}
	for name := range fields {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
}

func TestCheckExitCodes(t *testing.T) {
	d := deploy(t, "")
	config := d.config(t)

	t.Run("nobody", func(t *testing.T) {
		stdout := d.run(t, 0, "check", "--config.file="+config)
		if !strings.Contains(stdout, "nobody is falsely locked, bypassed or diverging") {
			t.Errorf("%s", stdout)
		}
	})
	d.lock(t)
	t.Run("somebody", func(t *testing.T) {
		stdout := d.run(t, 1, "check", "--config.file="+config)
		for _, want := range []string{"VERDICT", "falsely locked  key    checkout-prod", "3.536", "10.607", "+7.071", "reseed_multiple", "explain checkout-prod"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("there is no %q in:\n%s", want, stdout)
			}
		}
	})
	t.Run("JSON", func(t *testing.T) {
		var form struct {
			Version  string `json:"litellm_version"`
			Entities []struct{ ID, Verdict, Cause string }
		}
		if err := json.Unmarshal([]byte(d.run(t, 1, "check", "--config.file="+config, "--output=json")), &form); err != nil {
			t.Fatal(err)
		}
		if form.Version != "1.84.0" || len(form.Entities) != d.entities || form.Entities[0].ID != d.locked || form.Entities[0].Verdict != "falsely_locked" {
			t.Errorf("%+v", form)
		}
		if form.Entities[1].Verdict != "ok" || form.Entities[1].Cause != "" {
			t.Errorf("of one who is well: %+v", form.Entities[1])
		}
	})
	t.Run("LiteLLM refuses", func(t *testing.T) {
		write(t, filepath.Join(filepath.Dir(config), "litellm"), "sk-wrong-credential")
		stderr := d.fails(t, "check", "--config.file="+config)
		if !strings.Contains(stderr, "LiteLLM cannot be read: ") || strings.Contains(stderr, "sk-wrong-credential") {
			t.Errorf("%s", stderr)
		}
	})
	t.Run("no Redis where it should be", func(t *testing.T) {
		write(t, config, "litellm: {url: "+d.api.URL+", api_key: "+d.liteLLM.MasterKey()+"}\nredis: {url: 'redis://127.0.0.1:1'}\n")
		if stderr := d.fails(t, "check", "--config.file="+config); !strings.Contains(stderr, "Redis cannot be read: ") {
			t.Errorf("%s", stderr)
		}
	})
	t.Run("no Redis at all", func(t *testing.T) {
		write(t, config, "litellm: {url: "+d.api.URL+", api_key: "+d.liteLLM.MasterKey()+"}\nredis: null\n")
		stdout, stderr := d.execute(t, "", 0, "check", "--config.file="+config)
		if !strings.Contains(stdout, "Nobody can be judged") || !strings.Contains(stderr, "nobody can be judged: no Redis is configured") {
			t.Errorf("%s%s", stdout, stderr)
		}
	})
	t.Run("no configuration", func(t *testing.T) {
		if stderr := d.fails(t, "check"); !strings.Contains(stderr, "LITELLM_URL") {
			t.Errorf("%s", stderr)
		}
	})
}
