package explain

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/refusals"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const hash = "5f9c1b7e00000000000000000000000000000000000000000000000000000001"

// deployment is one with everything that makes commands longer.
var deployment = Deployment{
	LiteLLMURL: "https://litellm.example.com/llm",
	Redis:      &Redis{Mode: "standalone", Addresses: []string{"redis.example.com:6380"}, DB: 2, TLS: true, Namespace: "prod"},
}

func up() map[budget.Source]budget.SourceState {
	return map[budget.Source]budget.SourceState{budget.LiteLLM: {Up: true}, budget.Redis: {Up: true}}
}

func snapshot(release string) *budget.Snapshot {
	return &budget.Snapshot{
		At: now, Release: budget.ReleaseOf(release), Sources: up(), CounterNames: "prefixed",
		FleetCauses: map[budget.FleetCause]bool{budget.FlushStalled: false, budget.NoSharedCounters: false},
	}
}

func capOf(usd float64) budget.Cap { return budget.Cap{State: budget.CapKnown, Low: usd, High: usd} }

// entity is one whose counter is as given.
func entity(scope budget.Scope, id, alias string, limit budget.Cap, reported, counter float64) *budget.Entity {
	return &budget.Entity{
		ID: budget.ID{Scope: scope, Value: id}, Names: budget.Names{Alias: alias}, Cap: limit,
		Reported: budget.Some(reported), ReportedAt: now.Add(-2 * time.Second),
		Counter:    budget.Counter{State: budget.CounterPresent, Value: counter, TTL: 43 * time.Second, ReadAt: now.Add(-time.Second)},
		Enforced:   budget.Some(counter),
		Divergence: budget.Some(counter - reported), Tolerance: budget.Some(0.01),
		Verdict: budget.OK, LockJudged: true,
	}
}

func accused(e *budget.Entity, v budget.Verdict, c budget.Cause, confidence float64, evidence ...budget.Evidence) *budget.Entity {
	e.Verdict, e.Cause, e.Confidence, e.Evidence = v, c, confidence, evidence
	return e
}

// locked is the key of BerriAI/litellm #27735.
func locked() *budget.Entity {
	e := accused(entity(budget.Key, hash, "checkout-prod", capOf(10), 3.536, 10.607), budget.FalselyLocked, budget.ReseedMultiple, 0.95,
		budget.Evidence{Name: "divergence_usd", Value: 7.071}, budget.Evidence{Name: "enforced_by_reported", Value: 10.607 / 3.536},
		budget.Evidence{Name: "copies", Value: 3}, budget.Evidence{Name: "measured_copies", Value: 10.607 / 3.5355},
		budget.Evidence{Name: "reported_at_seed_usd", Value: 3.5355}, budget.Evidence{Name: "counter_at_seed_usd", Value: 10.607},
		budget.Evidence{Name: "seconds_since_seed", Value: 95})
	e.Names.TeamID, e.Names.TeamAlias = "team-storefront", "Storefront"
	e.FalselyLockedLast = budget.Some(now.Add(-time.Second))
	e.Windows = []budget.EntityWindow{
		{Duration: "1d", MaxBudget: budget.Some(30.0), ResetAt: budget.Some(now.Add(12 * time.Hour)), Enforced: budget.Some(1.5)},
		{Duration: "30d", MaxBudget: budget.Some(90.0)},
	}
	return e
}

// suspected is an entity of which something is suspected since 12 s ago, to be settled in 3 s.
func suspected(e *budget.Entity, v budget.Verdict) *budget.Entity {
	e.Suspected = &budget.Suspicion{Verdict: v, Since: now.Add(-12 * time.Second), Due: budget.Some(now.Add(3 * time.Second))}
	return e
}

func history() []budget.Sample {
	at := func(seconds int, counter budget.Optional[float64]) budget.Sample {
		return budget.Sample{
			At: now.Add(time.Duration(seconds) * time.Second), Reported: budget.Some(3.536), Counter: counter, TTL: 50 * time.Second,
			Terms: budget.Terms{Cap: capOf(10)},
		}
	}
	return []budget.Sample{
		at(-120, budget.Some(3.536)), at(-105, budget.Some(3.536)), at(-100, budget.Optional[float64]{}),
		at(-95, budget.Some(10.607)), at(-1, budget.Some(10.607)),
	}
}

// stories are what the golden files tell.
var stories = map[string]func() Input{
	"falsely-locked-key": func() Input {
		team := entity(budget.Team, "team-storefront", "Storefront", budget.Cap{State: budget.CapUnlimited}, 310.4, 310.41)
		return Input{
			Snapshot: snapshot("1.84.0"), Deployment: deployment,
			Asked: Entity{Entity: locked(), Row: &budget.Row{ID: locked().ID, MaxBudget: budget.Some(10.0)}, History: history(), Refusals: []refusals.Refusal{
				{At: now.Add(-40 * time.Second), Scope: budget.Key, ID: hash, Own: true, Enforced: budget.Some(10.607), Cap: budget.Some(10.0)},
			}, RefusalsReadAt: budget.Some(now.Add(-25 * time.Second))},
			Team: &Entity{Entity: team},
		}
	},
	"bypassed-team": func() Input {
		e := accused(entity(budget.Team, "team-growth", "Growth", capOf(10), 17, 6), budget.Bypassed, budget.CounterLost, 0.7,
			budget.Evidence{Name: "counters_fallen", Value: 12}, budget.Evidence{Name: "counter_after_usd", Value: 5.5})
		e.BypassedLast = budget.Some(now)
		d := deployment
		d.Redis = &Redis{Mode: "sentinel", Addresses: []string{"sentinel-1:26379"}, MasterName: "mymaster"}
		return Input{Snapshot: snapshot("1.88.0"), Deployment: d, Asked: Entity{Entity: e}}
	},
	"stale-after-reset": func() Input {
		e := accused(entity(budget.Key, hash, "nightly", capOf(50), 0.4, 50.3), budget.FalselyLocked, budget.StaleAfterReset, 0.95,
			budget.Evidence{Name: "reported_before_reset_usd", Value: 49.9}, budget.Evidence{Name: "seconds_since_reset", Value: 61})
		e.ResetAt = budget.Some(now.AddDate(0, 1, 0))
		s := snapshot("1.97.0")
		return Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e, Row: &budget.Row{ID: e.ID}, RefusalsReadAt: budget.Some(now.Add(-5 * time.Second))}}
	},
	"unexplained": func() Input {
		e := accused(entity(budget.Key, hash, "", capOf(10), 3, 4.7), budget.Diverging, budget.Unexplained, 0, budget.Evidence{Name: "divergence_usd", Value: 1.7})
		s := snapshot("1.120.0")
		return Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"cold-key": func() Input {
		e := entity(budget.Key, hash, "archive", capOf(25), 4.2, 4.2)
		e.Counter = budget.Counter{State: budget.CounterAbsent, ReadAt: now}
		e.FalselyLockedLast = budget.Some(now.Add(-time.Hour))
		return Input{Snapshot: snapshot("1.104.9"), Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"exhausted-key": func() Input {
		e := entity(budget.Key, hash, "eval", capOf(10), 10.02, 10.02)
		return Input{Snapshot: snapshot("1.104.9"), Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"stalled-flush": func() Input {
		e := accused(entity(budget.Key, hash, "batch", capOf(200), 12.3, 19.2), budget.Diverging, budget.Unexplained, 0, budget.Evidence{Name: "divergence_usd", Value: 6.9})
		s := snapshot("1.97.0")
		s.FleetCauses[budget.FlushStalled] = true
		s.FleetEvidence = map[budget.FleetCause][]budget.Evidence{budget.FlushStalled: {
			{Name: "rows_unmoved_seconds", Value: 240}, {Name: "spending_entities", Value: 3}, {Name: "buffer_elements", Value: 412},
		}}
		return Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"no-shared-counters": func() Input {
		e := entity(budget.Key, hash, "batch", capOf(10), 10.7, 10.7)
		e.Counter = budget.Counter{State: budget.CounterAbsent, ReadAt: now}
		s := snapshot("1.97.0")
		s.FleetCauses[budget.NoSharedCounters] = true
		s.FleetEvidence = map[budget.FleetCause][]budget.Evidence{budget.NoSharedCounters: {
			{Name: "no_counter_seconds", Value: 180}, {Name: "unseen_spend_usd", Value: 1.2},
		}}
		return Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"one-look": func() Input {
		e := accused(entity(budget.Team, "team-growth", "Growth", capOf(10), 5, 15), budget.FalselyLocked, budget.ReseedMultiple, 0.75, budget.Evidence{Name: "copies", Value: 3})
		s := snapshot("1.86.2")
		s.FleetCauses = nil
		return Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"suspected-lock": func() Input {
		e := locked()
		e.Verdict, e.Cause, e.Confidence, e.Evidence, e.FalselyLockedLast = budget.OK, budget.NoCause, 0, nil, budget.Optional[time.Time]{}
		return Input{
			Snapshot: snapshot("1.84.0"), Deployment: deployment,
			Asked: Entity{Entity: suspected(e, budget.FalselyLocked), Row: &budget.Row{ID: e.ID, MaxBudget: budget.Some(10.0)}, History: history()},
		}
	},
	"suspected-bypass": func() Input {
		e := suspected(entity(budget.Team, "team-growth", "Growth", capOf(10), 17, 6), budget.Bypassed)
		return Input{Snapshot: snapshot("1.88.0"), Deployment: deployment, Asked: Entity{Entity: e}}
	},
	"no-redis": func() Input {
		e := entity(budget.Key, hash, "eval", capOf(10), 3, 3)
		e.Counter, e.Enforced, e.Divergence, e.Tolerance, e.Verdict = budget.Counter{}, budget.Optional[float64]{}, budget.Optional[float64]{}, budget.Optional[float64]{}, budget.NotJudged
		s := snapshot("")
		delete(s.Sources, budget.Redis)
		s.FleetCauses = nil
		d := deployment
		d.Redis = nil
		return Input{Snapshot: s, Deployment: d, Asked: Entity{Entity: e}}
	},
}

func TestGolden(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			x := Explain(story())
			var text bytes.Buffer
			if err := x.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			form, err := json.MarshalIndent(x, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(form, '\n'))
			var again Explanation
			if err := json.Unmarshal(form, &again); err != nil || !reflect.DeepEqual(&again, x) {
				t.Errorf("it does not come back from its JSON form: %v\n%+v\n%+v", err, again, *x)
			}
			listsAreLists(t, name, reflect.ValueOf(x))
		})
	}
}

// listsAreLists finds a list that is null in JSON where it is empty: null is unknown.
func listsAreLists(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			listsAreLists(t, path, v.Elem())
		}
	case reflect.Slice:
		if v.IsNil() && !strings.HasSuffix(path, ".Fleet") { // which is unknown to one look
			t.Errorf("%s is null", path)
		}
		for i := range v.Len() {
			listsAreLists(t, path, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			listsAreLists(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is different (write it anew with -update):\n%s", file, got)
	}
}

func TestStatusOfARefusal(t *testing.T) {
	for release, want := range map[string]int{
		"1.82.6": 400, "1.84.10": 400, "1.85.0": 429, "1.103.11": 429, "1.104.0": 422, "1.109.1": 422, "1.120.0": 422, "": 0, "nightly": 0,
	} {
		in := Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: entity(budget.Key, hash, "", capOf(10), 11, 11)}}
		n := Explain(in).Next
		switch {
		case n.Outcome != Refused:
			t.Errorf("%s: %+v", release, n)
		case want == 0 && (n.Status != nil || !strings.Contains(n.Text, "400 up to LiteLLM 1.84, 429 up to 1.103, 422 from 1.104")):
			t.Errorf("%q: %+v", release, n)
		case want != 0 && (n.Status == nil || *n.Status != want):
			t.Errorf("%s: %+v, want %d", release, n, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		release           string
		scope             budget.Scope
		limit             budget.Cap
		reported, counter float64
		row               budget.Row
		want              Outcome
	}{
		"below":                      {"1.84.0", budget.Key, capOf(10), 3, 3, budget.Row{}, Admitted},
		"pinned by float noise":      {"1.84.0", budget.Key, capOf(10), 3, 9.9999999999, budget.Row{}, Refused},
		"a key at the cap":           {"1.83.14", budget.Key, capOf(10), 10, 10, budget.Row{}, Refused},
		"a team at the cap, before":  {"1.83.14", budget.Team, capOf(10), 10, 10, budget.Row{}, Over},
		"a team at the cap, since":   {"1.84.0", budget.Team, capOf(10), 10, 10, budget.Row{}, Refused},
		"a key's cap of 0":           {"1.84.0", budget.Key, capOf(0), 0, 0, budget.Row{}, Refused},
		"a team's cap of 0, unspent": {"1.84.0", budget.Team, capOf(0), 0, 0, budget.Row{}, Admitted},
		"a team's cap of 0, spent":   {"1.84.0", budget.Team, capOf(0), 1, 1, budget.Row{}, Refused},
		"over, and admitted":         {"1.84.0", budget.Key, capOf(10), 12, 3, budget.Row{}, Over},
		"unlimited":                  {"1.84.0", budget.Key, budget.Cap{State: budget.CapUnlimited}, 12, 12, budget.Row{}, NoLimit},
		"cap not read":               {"1.84.0", budget.Key, budget.Cap{}, 12, 12, budget.Row{}, Unknown},
		"depends on an expiry":       {"1.84.0", budget.Key, budget.Cap{State: budget.CapKnown, Low: 10, High: 20}, 15, 15, budget.Row{}, Unknown},
		"above it whatever the cap":  {"1.84.0", budget.Key, budget.Cap{State: budget.CapKnown, Low: 10, High: 20}, 25, 25, budget.Row{}, Refused},
		"throttled":                  {"1.93.0", budget.Key, capOf(10), 12, 12, budget.Row{Throttled: true}, Slowed},
	} {
		e := entity(c.scope, "x", "", c.limit, c.reported, c.counter)
		c.row.ID = e.ID
		x := Explain(Input{Snapshot: snapshot(c.release), Deployment: deployment, Asked: Entity{Entity: e, Row: &c.row}})
		if got := x.Budgets[0].Outcome; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestBlockedIsNoBudget tells what refuses whatever the budget, a key's team included.
func TestBlockedIsNoBudget(t *testing.T) {
	e := entity(budget.Key, hash, "", capOf(10), 3, 3)
	e.Names.TeamID = "t"
	team := entity(budget.Team, "t", "", capOf(10), 3, 3)
	blockedTeam := &Entity{Entity: team, Row: &budget.Row{ID: team.ID, Blocked: true}}
	for name, in := range map[string]Input{
		"the key is blocked":  {Asked: Entity{Entity: e, Row: &budget.Row{ID: e.ID, Blocked: true}}},
		"the team is blocked": {Asked: Entity{Entity: e}, Team: blockedTeam},
		"the key expired":     {Asked: Entity{Entity: e, Row: &budget.Row{ID: e.ID, Expires: budget.Some(now.Add(-time.Hour))}}},
	} {
		in.Snapshot, in.Deployment = snapshot("1.84.0"), deployment
		x := Explain(in)
		if x.Next.Outcome != Refused || !strings.Contains(x.Next.Text, name) || x.Next.Status != nil {
			t.Errorf("%s: %+v", name, x.Next)
		}
		if !strings.Contains(x.Summary, name) {
			t.Errorf("%s: the summary is %q", name, x.Summary)
		}
		for _, b := range x.Budgets {
			if concerned := strings.Contains(name, string(b.Scope)); concerned != (b.Outcome == Refused) {
				t.Errorf("%s: the budget of the %s is told as %s", name, b.Scope, b.Outcome)
			}
		}
	}
}

// TestReseedIsToldAsSeen words the same cause by what was seen of it: how the counter came back, a jump of one that was
// there, or nothing but a multiple.
func TestReseedIsToldAsSeen(t *testing.T) {
	copies := budget.Evidence{Name: "copies", Value: 2}
	for name, c := range map[string]struct {
		evidence []budget.Evidence
		want     string
		never    []string
	}{
		"it came back": {[]budget.Evidence{copies, {Name: "counter_at_seed_usd", Value: 12}}, "It was gone and came back like that", []string{"Between two readings"}},
		"it jumped":    {[]budget.Evidence{copies, {Name: "jump_usd", Value: 6}}, "Between two readings the counter rose by 6.00 at once", []string{"for a moment", "was gone and came back"}},
		"one look":     {[]budget.Evidence{copies}, "holds 2 copies of the row's spend. So it does when", []string{"It was gone and came back", "Between two readings"}},
	} {
		e := accused(entity(budget.Key, hash, "", capOf(10), 6, 12), budget.FalselyLocked, budget.ReseedMultiple, 0.8, c.evidence...)
		text := Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Cause.Text
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", name, text)
		}
		for _, never := range c.never {
			if strings.Contains(text, never) {
				t.Errorf("%s: it says %q: %s", name, never, text)
			}
		}
	}
}

// TestAffectedReleasesGoWithTheTable has what is said of the releases that suffer not end before one that does.
func TestAffectedReleasesGoWithTheTable(t *testing.T) {
	newest := snapshot("1.109.1").Release
	for c, k := range known {
		if affected := budget.Affected(newest.Version, c); affected.Value && !regexp.MustCompile(`and later|later when|always, later|\ball\b|\bany\b|1\.109\.1`).MatchString(k.releases) {
			t.Errorf("%s: %s suffers from it, and it is said of %s", c, newest.Version, k.releases)
		}
	}
}

// TestRefusedAllTheSame has LiteLLM refuse what both numbers would admit, and nothing known explain it.
func TestRefusedAllTheSame(t *testing.T) {
	const reported = 74.2425
	sample := func(ago time.Duration, usd float64) budget.Sample {
		return budget.Sample{At: now.Add(-ago), Reported: budget.Some(usd)}
	}
	for name, c := range map[string]struct {
		change func(*refusals.Refusal, *Entity)
		told   bool
	}{
		"a minute ago":       {func(*refusals.Refusal, *Entity) {}, true},
		"an hour ago":        {func(r *refusals.Refusal, _ *Entity) { r.At = now.Add(-time.Hour) }, false},
		"for a model's sake": {func(r *refusals.Refusal, _ *Entity) { r.Own = false }, false},
		"the cap was raised": {func(r *refusals.Refusal, _ *Entity) { r.Cap = budget.Some(50.0) }, false},
		"at no more than the counter holds": {func(r *refusals.Refusal, e *Entity) {
			r.Enforced, e.Entity.Counter.Value = budget.Some(100.0), 100
		}, false},
		"the counter is gone": {func(_ *refusals.Refusal, e *Entity) {
			e.Entity.Counter = budget.Counter{State: budget.CounterAbsent, ReadAt: now}
		}, false},
		"a reset came between": {func(_ *refusals.Refusal, e *Entity) {
			e.History = []budget.Sample{sample(2*time.Minute, 100), sample(30*time.Second, reported)}
		}, false},
		"a reset came before": {func(_ *refusals.Refusal, e *Entity) {
			e.History = []budget.Sample{sample(3*time.Minute, 100), sample(2*time.Minute, reported), sample(30*time.Second, reported)}
		}, true},
	} {
		r := refusals.Refusal{At: now.Add(-time.Minute), Scope: budget.Key, ID: hash, Own: true, Enforced: budget.Some(148.4817), Cap: budget.Some(100.0)}
		asked := Entity{Entity: entity(budget.Key, hash, "", capOf(100), reported, reported)}
		c.change(&r, &asked)
		asked.Refusals = []refusals.Refusal{r}
		x := Explain(Input{Snapshot: snapshot("1.96.2"), Deployment: deployment, Asked: asked})
		const want = "But LiteLLM refused it at 2026-03-01 11:59:00 UTC, at 148.4817 of 100.00, which is more than the counter holds now"
		if strings.Contains(x.Summary, want) != c.told || strings.Contains(x.Summary, "But LiteLLM refused") != c.told {
			t.Errorf("%s: %s", name, x.Summary)
		}
	}
}

// TestFalseRefusalIsToldWithoutRedis has LiteLLM's log be all that tells what it enforces. What is old, or no longer so by
// the books, is not said of now.
func TestFalseRefusalIsToldWithoutRedis(t *testing.T) {
	const notJudged = "Not judged: what LiteLLM enforces is not known."
	genuine := refusals.Refusal{At: now.Add(-time.Minute), Scope: budget.Key, ID: hash, Own: true, Enforced: budget.Some(10.5), Cap: budget.Some(10.0)}
	falseAt := func(ago time.Duration) refusals.Refusal {
		r := genuine
		r.FalseAt = budget.Some(now.Add(-ago))
		return r
	}
	window := falseAt(2 * time.Minute)
	window.Own, window.Window = false, "1d"
	for name, c := range map[string]struct {
		log           refusals.Refusal
		reported      float64
		summary, told string
	}{
		"false": {falseAt(time.Minute), 3, "Falsely refused at 2026-03-01 11:59:00 UTC, at 10.50 of 10.00 in LiteLLM's log, although", "That was false: when all spend from before it"},
		"false before": {falseAt(2 * time.Minute), 3, "Falsely refused at 2026-03-01 11:58:00 UTC, although the books stayed below the cap.",
			"The refusal at 2026-03-01 11:58:00 UTC was false: when all spend from before it"},
		"false long ago":      {falseAt(20 * time.Hour), 3, notJudged, "The refusal at 2026-02-28 16:00:00 UTC was false"},
		"exhausted meanwhile": {falseAt(2 * time.Minute), 10.5, notJudged, "was false"},
		"not known":           {genuine, 3, notJudged, "at 10.50 of 10.00."},
		"that of a window":    {window, 3, notJudged, "by the 1d window of key"},
	} {
		in := stories["no-redis"]()
		in.Asked.Entity.Reported = budget.Some(c.reported)
		in.Asked.Refusals = []refusals.Refusal{c.log}
		x := Explain(in)
		if !strings.Contains(x.Summary, c.summary) || !strings.Contains(x.Refusals[0].Text(), c.told) || x.Verdict != "" {
			t.Errorf("%s: %q, %q, verdict %q", name, x.Summary, x.Refusals[0].Text(), x.Verdict)
		}
	}
}

func TestRefusalIsToldWithoutAmountsWhereThereAreNone(t *testing.T) {
	if got := (Refusal{At: now, Scope: "key", ID: "x"}).Text(); got != "refused at 2026-03-01 12:00:00 UTC by the budget of key x." {
		t.Error(got)
	}
}

// TestReleasesWithoutCountersHaveNone has no Redis be looked for where the release counts in none.
func TestReleasesWithoutCountersHaveNone(t *testing.T) {
	for release, want := range map[string]string{"1.82.6": "LiteLLM keeps none before 1.83.3", "1.84.0": "the wrong Redis, database or namespace"} {
		s := snapshot(release)
		s.FleetCauses = map[budget.FleetCause]bool{budget.NoSharedCounters: true}
		cold := entity(budget.Key, hash, "", capOf(10), 3, 3)
		cold.Counter = budget.Counter{State: budget.CounterAbsent, ReadAt: now}
		x := Explain(Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: cold}})
		if len(x.Budgets[0].Normal) != 0 {
			t.Errorf("%s: that it has no counter is called normal: %+v", release, x.Budgets[0].Normal)
		}
		if elsewhere := x.Next.Outcome == Unknown && strings.Contains(x.Summary, "does not count in the Redis"); elsewhere != (release == "1.84.0") {
			t.Errorf("%s: %s, next %+v", release, x.Summary, x.Next)
		}
		if keeps := strings.Contains(x.Fleet[0].Releases, "counts in Redis"); keeps != (release == "1.84.0") {
			t.Errorf("%s: releases %q", release, x.Fleet[0].Releases)
		}
		if len(x.Problems) != 1 || !strings.Contains(x.Problems[0], want) || !slices.Equal(x.FleetCauses, []budget.FleetCause{budget.NoSharedCounters}) {
			t.Errorf("%s: %q, %v", release, x.Problems, x.FleetCauses)
		}
	}
}

// TestOneColdCounterDoesNotTellThatItIsTheRightRedis says what else looks like a counter that is not there, where one entity is
// all that was read.
func TestOneColdCounterDoesNotTellThatItIsTheRightRedis(t *testing.T) {
	const looksLike = "this is another Redis, database or namespace"
	for name, c := range map[string]struct {
		release string
		fleet   map[budget.FleetCause]bool
		want    bool
	}{
		"one":             {"1.84.0", nil, true},
		"all":             {"1.84.0", map[budget.FleetCause]bool{budget.NoSharedCounters: false}, false},
		"keeps none ever": {"1.82.6", nil, false},
	} {
		in := stories["cold-key"]()
		in.Snapshot = snapshot(c.release)
		in.Snapshot.FleetCauses = c.fleet
		if normal := Explain(in).Budgets[0].Normal; len(normal) == 0 || strings.Contains(normal[0].Text, looksLike) != c.want {
			t.Errorf("%s: %+v", name, normal)
		}
	}
}

// TestWhatIsSummarisedIsNotSaidTwice leaves what the summary says out of one budget, not out of another with the same words.
func TestWhatIsSummarisedIsNotSaidTwice(t *testing.T) {
	x := Explanation{Summary: "All is well.", Budgets: []*Budget{{Text: "Too high."}, {Text: "All is well."}, {Text: "All is well."}}}
	for i, want := range []bool{false, true, false} {
		if got := x.Summarised(x.Budgets[i]); got != want {
			t.Errorf("budget %d: %v", i, got)
		}
	}
}

// trusting are the remedies that take the row for right.
var trusting = []string{"Raise the cap until the counter is right", "Let the counter expire", "Delete the counter", "Give the counter an end of life"}

// TestUnexplainedNamesAShortRow has spend that did not reach the row be among what can be behind it.
func TestUnexplainedNamesAShortRow(t *testing.T) {
	for name, c := range map[string]struct {
		stalled bool
		counter float64
		want    string
		never   string
	}{
		"stalled":        {true, 12, "The stalled flush can be all of it", "No known failure mode"},
		"not stalled":    {false, 12, "Or the row is short", "stalled"},
		"below the row":  {false, 1, "No known failure mode", "the row is short"},
		"both the other": {true, 1, "No known failure mode", "stalled flush"},
	} {
		e := accused(entity(budget.Key, hash, "", capOf(100), 3, c.counter), budget.Diverging, budget.Unexplained, 0)
		s := snapshot("1.97.0")
		s.FleetCauses[budget.FlushStalled] = c.stalled
		text := Explain(Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Cause.Text
		if !strings.Contains(text, c.want) || strings.Contains(text, c.never) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestNegativeSaysWhichAndWhatItCosts words a number below 0 by what it lets through.
func TestNegativeSaysWhichAndWhatItCosts(t *testing.T) {
	const costs, raised = "As much can be spent past the cap", "The next request raises it to the row"
	capped := capOf(10)
	for name, c := range map[string]struct {
		release           string
		limit             budget.Cap
		reported, counter float64
		want, never       string
	}{
		"the counter, believed":   {"1.88.0", capped, 0.2, -0.7, costs, raised},
		"the counter, raised":     {"1.97.0", capped, 0.2, -0.7, raised, costs},
		"the counter, undetected": {"", capped, 0.2, -0.7, "from 1.90.0 on the next request raises it", costs},
		"the counter, no cap":     {"1.88.0", budget.Cap{State: budget.CapUnlimited}, 0.2, -0.7, "more was given back", costs},
		"both, by the row":        {"1.109.1", capped, -4, -3.9, "The row is below 0: a reset", raised},
	} {
		e := accused(entity(budget.Key, hash, "", c.limit, c.reported, c.counter), budget.Diverging, budget.Negative, 1,
			budget.Evidence{Name: "counter_usd", Value: c.counter}, budget.Evidence{Name: "reported_usd", Value: c.reported})
		b := Explain(Input{Snapshot: snapshot(c.release), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0]
		if !strings.Contains(b.Cause.Text, c.want) || strings.Contains(b.Cause.Text, c.never) {
			t.Errorf("%s: %s", name, b.Cause.Text)
		}
		for _, r := range b.Remedies {
			if r.Title == "Delete the counter" && strings.Contains(strings.Join(r.First, " "), "Put the row right") != (c.reported < 0) {
				t.Errorf("%s: DEL first %q", name, r.First)
			}
		}
	}
}

// TestEveryCauseIsKnown explains every cause in every release, in either direction.
func TestEveryCauseIsKnown(t *testing.T) {
	for _, c := range budget.Causes {
		for _, release := range []string{"1.83.3", "1.84.0", "1.88.0", "1.97.0", "1.103.11", "1.109.1", ""} {
			for _, counter := range []float64{-2, 1, 12} {
				e := accused(entity(budget.Key, hash, "", capOf(10), 5, counter), budget.Diverging, c, 0.5, budget.Evidence{Name: "counter_usd", Value: counter})
				x := Explain(Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: e}})
				b := x.Budgets[0]
				if b.Cause == nil || b.Cause.Text == "" || b.Cause.Releases == "" {
					t.Fatalf("%s is not known: %+v", c, b.Cause)
				}
				affected := budget.Affected(release, c)
				if len(b.Remedies) == 0 && (!affected.Known || affected.Value) {
					t.Errorf("nothing mends %s of %v in %q", c, counter, release)
				}
				for _, r := range b.Remedies {
					if r.Title == "" || r.Changes == "" {
						t.Errorf("%s: a remedy without a title, or that does not say what it changes: %+v", c, r)
					}
				}
			}
		}
	}
}

// TestImmortalIsToldBelowItsCap says nothing of refusals where there are none.
func TestImmortalIsToldBelowItsCap(t *testing.T) {
	e := accused(entity(budget.Key, hash, "", capOf(10), 4.2, 4.2), budget.Diverging, budget.Immortal, 1)
	text := Explain(Input{Snapshot: snapshot("1.94.3"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Cause.Text
	if strings.Contains(text, "refuses everything") || !strings.Contains(text, "nor does an idle client") {
		t.Error(text)
	}
}
