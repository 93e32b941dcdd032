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
		return budget.Sample{At: now.Add(time.Duration(seconds) * time.Second), Reported: budget.Some(3.536), Counter: counter, TTL: 50 * time.Second}
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

// TestRefusingWindowIsLeftToTheDatabase has the operator find out what nobody else can.
func TestRefusingWindowIsLeftToTheDatabase(t *testing.T) {
	e := entity(budget.Key, hash, "", capOf(1000), 3, 3)
	for release, c := range map[string]struct {
		counter float64
		mind    string
		offered bool
	}{
		"1.83.14": {50.3, "", false},
		"1.97.0":  {50.3, "disable_spend_logs", true},
		"":        {50.3, "disable_spend_logs", true},
		"1.109.1": {50.3, "", true},
		"1.101.6": {49, "", false},
	} {
		e.Windows = []budget.EntityWindow{{Duration: "1d", MaxBudget: budget.Some(50.0), Enforced: budget.Some(c.counter)}}
		b := Explain(Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[1]
		if !c.offered {
			if len(b.Remedies) != 0 {
				t.Errorf("%q: %+v", release, b.Remedies)
			}
			continue
		}
		if len(b.Remedies) != 1 || len(b.Remedies[0].Commands) != 1 || !strings.HasSuffix(b.Remedies[0].Commands[0], " DEL prod:spend:key:"+hash+":window:1d") {
			t.Fatalf("%q: %+v", release, b.Remedies)
		}
		if mind := strings.Join(b.Remedies[0].SideEffects, " "); !strings.Contains(mind, c.mind) || c.mind == "" && mind != "" {
			t.Errorf("%q: mind %q", release, mind)
		}
	}
}

// TestUnexplainedTellsNothingOfWindows: what is between the two numbers of the key's own budget says nothing of the row of
// its window, which is in no API.
func TestUnexplainedTellsNothingOfWindows(t *testing.T) {
	e := accused(entity(budget.Key, hash, "", capOf(100), 3, 12), budget.Diverging, budget.Unexplained, 0)
	e.Windows = []budget.EntityWindow{{Duration: "1d", MaxBudget: budget.Some(50.0), Enforced: budget.Some(50.3)}}
	b := Explain(Input{Snapshot: snapshot("1.109.1"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[1]
	if len(b.Remedies) != 1 || len(b.Remedies[0].First) != 0 {
		t.Errorf("%+v", b.Remedies)
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
		if len(x.Problems) != 1 || !strings.Contains(x.Problems[0], want) || !slices.Equal(x.FleetCauses, []budget.FleetCause{budget.NoSharedCounters}) {
			t.Errorf("%s: %q, %v", release, x.Problems, x.FleetCauses)
		}
	}
}

// TestFleetCausesGoWithTheRelease names what to look at as the release in use calls it.
func TestFleetCausesGoWithTheRelease(t *testing.T) {
	for name, c := range map[string]struct {
		release, namespace string
		cause              budget.FleetCause
		want, never        string
	}{
		"a bare list":            {"1.90.7", "prod", budget.FlushStalled, "LLEN litellm_spend_update_buffer", "prod:litellm"},
		"whose lock is prefixed": {"1.90.7", "prod", budget.FlushStalled, "GET prod:cronjob_lock:db_spend_update_job", "GET cronjob"},
		"a prefixed list":        {"1.91.0", "prod", budget.FlushStalled, "LLEN prod:litellm_spend_update_buffer", "LLEN litellm"},
		"left out by its text":   {"1.97.0", "lite", budget.FlushStalled, "LLEN litellm_spend_update_buffer", "lite:litellm"},
		"undetected":             {"", "prod", budget.FlushStalled, "LLEN prod:litellm_spend_update_buffer", "LLEN litellm"},
		"no namespace":           {"1.109.1", "", budget.FlushStalled, "GET cronjob_lock:db_spend_update_job", "prod:"},
		"settings of 1.88":       {"1.88.0", "", budget.NoSharedCounters, "cache_params.type: redis. Every cap", "coordination_redis"},
		"where 1.88 counts":      {"1.88.0", "", budget.NoSharedCounters, "/health/readiness/details", "/coordination_redis"},
		"settings of 1.97":       {"1.97.0", "", budget.NoSharedCounters, "general_settings.coordination_redis", "REDIS_*"},
		"settings of 1.109":      {"1.109.1", "", budget.NoSharedCounters, "REDIS_* in the environment", "/health/readiness"},
		"none to be found":       {"1.82.6", "", budget.NoSharedCounters, "this release keeps none", "router_settings"},
	} {
		s := snapshot(c.release)
		s.FleetCauses[c.cause] = true
		d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "standalone", Addresses: []string{"r:6379"}, Namespace: c.namespace}}
		x := Explain(Input{Snapshot: s, Deployment: d, Asked: Entity{Entity: entity(budget.Key, hash, "", capOf(10), 3, 3)}})
		if len(x.Fleet) != 1 || x.Fleet[0].Name != c.cause || x.Fleet[0].Confidence < 0.9 {
			t.Fatalf("%s: %+v", name, x.Fleet)
		}
		f := x.Fleet[0]
		told := f.Text + strings.Join(f.Look, "\n")
		for _, r := range f.Remedies {
			told += r.Changes + strings.Join(r.SideEffects, " ")
		}
		if !strings.Contains(told, c.want) || strings.Contains(told, c.never) {
			t.Errorf("%s: %s", name, told)
		}
	}
}

// TestCountersElsewhereTellNothing shows no enforced spend where LiteLLM does not count in the Redis that is read.
func TestCountersElsewhereTellNothing(t *testing.T) {
	b := Explain(stories["no-shared-counters"]()).Budgets[0]
	if b.Enforced != nil || b.Divergence != nil || b.EnforcedText() != "unknown" || b.DivergenceText() != "unknown" {
		t.Errorf("enforced %s, divergence %s", b.EnforcedText(), b.DivergenceText())
	}
}

// TestFirstThingsFirst has DEL told with what to do before, exactly where it can make it worse.
func TestFirstThingsFirst(t *testing.T) {
	for release, want := range map[string]string{
		"1.83.14": "in this release DEL under load seeds the counter several times again",
		"1.84.0":  "in this release DEL under load seeds the counter several times again",
		"1.86.2":  "in this release DEL under load seeds the counter several times again",
		"1.83.12": "whether the release in use does is not known",
		"":        "whether the release in use does is not known",
		"1.84.1":  "",
		"1.87.5":  "",
		"1.109.1": "",
	} {
		e := accused(entity(budget.Key, hash, "", capOf(10), 3, 12), budget.FalselyLocked, budget.ManualSpendEdit, 0.9)
		x := Explain(Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: e}})
		i := slices.IndexFunc(x.Budgets[0].Remedies, func(r Remedy) bool { return r.Title == "Delete the counter" })
		if i < 0 {
			t.Fatalf("%s: no DEL in %+v", release, x.Budgets[0].Remedies)
		}
		r := x.Budgets[0].Remedies[i]
		first := strings.Join(r.First, " ")
		if !strings.Contains(first, want) || want == "" && first != "" {
			t.Errorf("%q: first %q, want %q", release, first, want)
		}
		if want := "redis-cli -h redis.example.com -p 6380 --tls -n 2 DEL prod:spend:key:" + hash; !slices.Contains(r.Commands, want) {
			t.Errorf("%q: %q, want %q", release, r.Commands, want)
		}
	}
}

// trusting are the remedies that take the row for right.
var trusting = []string{"Raise the cap until the counter is right", "Let the counter expire", "Delete the counter", "Give the counter an end of life"}

// TestARowInDoubtIsToldBeforeItIsTrusted has what makes a row doubtful told before everything that takes it for right,
// and nothing else.
func TestARowInDoubtIsToldBeforeItIsTrusted(t *testing.T) {
	healthy, stalled := map[budget.FleetCause]bool{}, map[budget.FleetCause]bool{budget.FlushStalled: true}
	for name, c := range map[string]struct {
		fleet          map[budget.FleetCause]bool
		cause          budget.Cause
		counter        float64
		first, problem string
	}{
		"stalled":                  {stalled, budget.ManualSpendEdit, 12, "Mend the stalled flush", "is stalled"},
		"stalled, immortal":        {stalled, budget.Immortal, 12, "Mend the stalled flush", "is stalled"},
		"stalled, unexplained":     {stalled, budget.Unexplained, 12, "Mend the stalled flush", "is stalled"},
		"stalled, below the row":   {stalled, budget.CounterLost, 1, "", "is stalled"},
		"not looked at":            {nil, budget.Immortal, 12, "Make sure that the flush is not stalled", "The whole fleet was not looked at"},
		"not looked at, below":     {nil, budget.CounterLost, 1, "", "The whole fleet was not looked at"},
		"unexplained":              {healthy, budget.Unexplained, 12, "this lets 9.00 be spent once more", ""},
		"explained":                {healthy, budget.Immortal, 12, "", ""},
		"unexplained, below":       {healthy, budget.Unexplained, 1, "", ""},
		"nothing to trust it with": {nil, budget.NoCause, 3, "", ""},
	} {
		e := accused(entity(budget.Key, hash, "", capOf(10), 3, c.counter), budget.FalselyLocked, c.cause, 0.9)
		if c.cause == budget.Immortal {
			e.Counter.TTL = budget.NoExpiry
		}
		s := snapshot("1.90.0")
		s.FleetCauses = c.fleet
		x := Explain(Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}})
		if problems := strings.Join(x.Problems, " "); !strings.Contains(problems, c.problem) || c.problem == "" && problems != "" {
			t.Errorf("%s: problems %q", name, problems)
		}
		trusted := 0
		for _, r := range x.Budgets[0].Remedies {
			if !slices.Contains(trusting, r.Title) {
				continue
			}
			trusted++
			if c.first == "" && strings.Contains(strings.Join(r.First, " "), "flush") || c.first != "" && (len(r.First) == 0 || !strings.Contains(r.First[0], c.first)) {
				t.Errorf("%s: first of %q: %q", name, r.Title, r.First)
			}
			if strings.Contains(r.Changes, "Nothing is lost") {
				t.Errorf("%s: %q", name, r.Changes)
			}
		}
		if trusted == 0 && c.cause != budget.NoCause {
			t.Errorf("%s: no remedy in %+v", name, x.Budgets[0].Remedies)
		}
	}
}

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

// TestWhoIsRefusedAnywayCanBeBlocked has a client that must stop be stopped by a command, but nobody who works.
func TestWhoIsRefusedAnywayCanBeBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		scope   budget.Scope
		cap     float64
		blocked string
		stop    string
	}{
		"a locked key":         {budget.Key, 10, "/key/block", "Stop the client for 60 s"},
		"a locked team":        {budget.Team, 10, "/team/block", "Stop every client of every key of the team for 60 s"},
		"a key that may spend": {budget.Key, 100, "", "Stop the client for 60 s"},
	} {
		e := accused(entity(c.scope, "x", "", capOf(c.cap), 3, 12), budget.Diverging, budget.ReseedMultiple, 0.9)
		for _, r := range Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
			if r.Title != "Let the counter expire" && r.Title != "Delete the counter" {
				continue
			}
			if !strings.HasPrefix(r.First[0], c.stop) {
				t.Errorf("%s: first %q", name, r.First)
			}
			before, later := strings.Join(r.FirstCommands, " "), strings.Join(r.Later, " ")
			if !strings.Contains(before, c.blocked) || !strings.Contains(later, strings.Replace(c.blocked, "/block", "/unblock", 1)) || c.blocked == "" && before+later != "" {
				t.Errorf("%s: before %q, later %q", name, before, later)
			}
			if waits := strings.Contains(strings.Join(r.SideEffects, " "), "quiet hour"); waits != (c.blocked == "") {
				t.Errorf("%s: mind %q", name, r.SideEffects)
			}
		}
	}
}

// TestOldProxiesRemember has nobody told that a counter begins from the row where a proxy remembers it and begins it at
// the cost of a request.
func TestOldProxiesRemember(t *testing.T) {
	for release, remembered := range map[string]bool{"1.83.3": true, "1.83.10": true, "1.83.14": true, "1.84.0": false, "1.109.1": false, "": false} {
		for _, c := range budget.Causes {
			e := accused(entity(budget.Key, hash, "", capOf(10), 3, 12), budget.FalselyLocked, c, 0.9)
			for _, r := range Explain(Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
				if !strings.Contains(r.Changes, "from the row (") {
					continue
				}
				told := strings.Contains(r.Changes, "if no proxy remembers it") && strings.Contains(strings.Join(r.First, " "), "restart every proxy")
				if told != remembered {
					t.Errorf("%q, %s: %+v", release, c, r)
				}
			}
		}
	}
	e := accused(entity(budget.Key, hash, "", capOf(10), 34, 0.6), budget.Bypassed, budget.CounterRestart, 0.9)
	for _, r := range Explain(Input{Snapshot: snapshot("1.83.10"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
		if strings.Contains(strings.Join(r.Commands, " "), " DEL ") {
			t.Errorf("a counter that restarts by itself is to be restarted: %+v", r)
		}
	}
}

// TestAnUpgradeThatChangesTheStatusSaysSo tells the statuses that lie ahead of the release in use.
func TestAnUpgradeThatChangesTheStatusSaysSo(t *testing.T) {
	for release, want := range map[string]string{
		"1.84.0": "429 from 1.85.0 on", "1.86.2": "From 1.104.0 on refusals are answered with 422", "1.101.6": "From 1.104.0 on refusals are answered with 422",
		"1.104.9": "", "": "400 up to 1.84",
	} {
		r, _ := upgrade("1.200.0", "all is well")(subject{in: Input{Snapshot: snapshot(release)}}, nil)
		if mind := strings.Join(r.SideEffects, " "); !strings.Contains(mind, want) || want == "" && mind != "" {
			t.Errorf("%q: %q", release, mind)
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

// TestALockIsOpenedFirst has what lets people work at once be told first, whatever locks them out.
func TestALockIsOpenedFirst(t *testing.T) {
	for _, c := range budget.Causes {
		if known[c].low || c == budget.PinnedAtCap || c == budget.Negative { // no lock, or one that is over before the cap is seen
			continue
		}
		e := accused(entity(budget.Key, hash, "", capOf(10), 5, 12), budget.FalselyLocked, c, 0.5)
		b := Explain(Input{Snapshot: snapshot("1.97.0"), Deployment: deployment, Asked: Entity{Entity: e, Row: &budget.Row{ID: e.ID, MaxBudget: budget.Some(10.0)}}}).Budgets[0]
		if !strings.HasPrefix(b.Remedies[0].Title, "Raise the cap") {
			t.Errorf("%s: the first is %q", c, b.Remedies[0].Title)
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

// TestClusterAndBareNames has commands go to the right server for the right name.
func TestClusterAndBareNames(t *testing.T) {
	e := accused(entity(budget.Team, "a b", "", capOf(10), 3, 12), budget.FalselyLocked, budget.DoubleApply, 0.6)
	d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "cluster", Addresses: []string{"node-1:7000", "node-2:7000"}, Namespace: "spend"}}
	s := snapshot("1.90.0")
	s.CounterNames = "bare" // LiteLLM leaves out a namespace that the name begins with
	x := Explain(Input{Snapshot: s, Deployment: d, Asked: Entity{Entity: e}})
	want := []string{
		"curl 'http://l/v2/team/list?team_id=a+b' -H \"Authorization: Bearer $LITELLM_MASTER_KEY\"",
		"redis-cli -h node-1 -p 7000 -c GET 'spend:team:a b'",
		"redis-cli -h node-1 -p 7000 -c PTTL 'spend:team:a b'",
	}
	if !slices.Equal(x.Budgets[0].Look, want) {
		t.Errorf("%q, want %q", x.Budgets[0].Look, want)
	}
}

// TestCredentialsStayOffTheCommandLine says how a password is given, once, and reaches Sentinels as the exporter does.
func TestCredentialsStayOffTheCommandLine(t *testing.T) {
	d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "sentinel", Addresses: []string{"s:26379"}, MasterName: "main", TLS: true}}
	x := Explain(Input{Snapshot: snapshot("1.90.0"), Deployment: d, Asked: Entity{Entity: locked()}})
	for _, want := range []string{"REDISCLI_AUTH", "--user NAME", "--cacert FILE", "NOAUTH"} {
		if strings.Count(x.Credentials, want) == 0 {
			t.Errorf("nothing of %s: %s", want, x.Credentials)
		}
	}
	const want = "redis-cli $(redis-cli -h s -p 26379 --tls SENTINEL get-master-addr-by-name main | xargs printf -- '-h %s -p %s') --tls GET"
	if got := x.Budgets[0].Look[1]; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	d.Redis = nil
	if got := Explain(Input{Snapshot: snapshot("1.90.0"), Deployment: d, Asked: Entity{Entity: locked()}}).Credentials; strings.Contains(got, "REDISCLI_AUTH") {
		t.Errorf("without a Redis: %s", got)
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

// TestRaisedCapLeavesWhatTheBooksLeave works out the cap that lets a falsely locked key spend what is left.
func TestRaisedCapLeavesWhatTheBooksLeave(t *testing.T) {
	e := locked()
	e.Cap = capOf(15) // 10 and a temporary 5
	e.Counter.Value, e.Enforced, e.Divergence = 20, budget.Some(20.0), budget.Some(20-3.536)
	row := &budget.Row{ID: e.ID, MaxBudget: budget.Some(10.0), TempIncrease: budget.TemporaryIncrease{USD: 5, ExpiresAt: now.Add(time.Hour)}}
	x := Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e, Row: row}})
	var raise Remedy
	for _, r := range x.Budgets[0].Remedies {
		if strings.HasPrefix(r.Title, "Raise the cap") {
			raise = r
		}
	}
	if x.Budgets[0].CapFrom != "its own 10.00 and a temporary 5.00 until 2026-03-01 13:00:00 UTC" {
		t.Errorf("cap: %s", x.Budgets[0].CapFrom)
	}
	now, later := strings.Join(raise.Commands, "\n"), strings.Join(raise.Later, "\n")
	if !strings.HasSuffix(now, `"max_budget":26.464}'`) || !strings.HasSuffix(later, `"max_budget":10}'`) || strings.Count(now+later, "curl") != 2 {
		t.Errorf("now %q, later %q", now, later)
	}
}
