package explain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

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

// TestBypassDoesNotWait has nobody told to let a bypass go on until a quiet hour.
func TestBypassDoesNotWait(t *testing.T) {
	e := accused(entity(budget.Key, hash, "", capOf(10), 17, 6), budget.Bypassed, budget.GhostRefund, 0.7)
	remedies := Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies
	if !slices.ContainsFunc(remedies, func(r Remedy) bool { return r.Title == "Delete the counter" }) {
		t.Errorf("%+v", remedies)
	}
	for _, r := range remedies {
		if strings.Contains(strings.Join(r.SideEffects, " "), "quiet hour") {
			t.Errorf("%s: mind %q", r.Title, r.SideEffects)
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

// TestACounterIsWaitedForAsLongAsItLives tells of the life that it is seen to have where that is longer than the default.
func TestACounterIsWaitedForAsLongAsItLives(t *testing.T) {
	for ttl, want := range map[time.Duration]string{
		45 * time.Second: "for 60 s (or for default_redis_ttl", 10 * time.Minute: "for 10m, which it has left to live",
	} {
		e := locked()
		e.Counter.TTL = ttl
		told := ""
		for _, r := range Explain(Input{Snapshot: snapshot("1.101.6"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
			if r.Title == "Let the counter expire" {
				told = strings.Join(r.First, " ")
			}
		}
		if !strings.Contains(told, want) {
			t.Errorf("%s: %q", ttl, told)
		}
	}
}

// TestEachSideBelowZeroHasItsReleases tells by the side that is below 0 whether the release in use suffers from that.
func TestEachSideBelowZeroHasItsReleases(t *testing.T) {
	for _, c := range []struct {
		release           string
		reported, counter float64
		suffers, upgrade  bool
	}{
		{"1.90.7", 3, -1, true, true},
		{"1.90.7", -3, -3, false, false},
		{"1.103.11", -3, -3, true, false},
		{"1.103.11", 3, -1, false, false},
	} {
		e := accused(entity(budget.Key, hash, "", capOf(10), c.reported, c.counter), budget.Diverging, budget.Negative, 1)
		b := Explain(Input{Snapshot: snapshot(c.release), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0]
		upgrade := slices.ContainsFunc(b.Remedies, func(r Remedy) bool { return strings.HasPrefix(r.Changes, "From 1.102.4 on the counter") })
		if suffers := b.Cause.Affected != nil && *b.Cause.Affected; suffers != c.suffers || upgrade != c.upgrade {
			t.Errorf("%+v: suffers %v, upgrade %v", c, suffers, upgrade)
		}
	}
}

// TestNothingIsReservedWithoutACap warns of requests in flight only where they have reserved something.
func TestNothingIsReservedWithoutACap(t *testing.T) {
	for limit, want := range map[budget.Cap]bool{capOf(10): true, {State: budget.CapUnlimited}: false} {
		e := accused(entity(budget.Key, hash, "", limit, 3, 7), budget.Diverging, budget.DoubleApply, 0.6)
		warned := false
		for _, r := range Explain(Input{Snapshot: snapshot("1.101.6"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
			warned = warned || strings.Contains(strings.Join(r.SideEffects, " "), "Requests in flight settle their reservations")
		}
		if warned != want {
			t.Errorf("%v: warned %v", limit, warned)
		}
	}
}

// TestARowBelowZeroIsNotUpgradedToOneThatIsNot offers the line in which rows are guarded, where it is not in use.
func TestARowBelowZeroIsNotUpgradedToOneThatIsNot(t *testing.T) {
	for release, want := range map[string]bool{
		"1.101.6": false, "1.102.4": false, "1.103.11": true, "1.108.5": true, "1.108.6": false, "1.108.11": false, "1.109.1": true, "1.110.0": false, "": false,
	} {
		e := accused(entity(budget.Key, hash, "", capOf(10), -1, -1), budget.Diverging, budget.Negative, 1)
		offered := false
		for _, r := range Explain(Input{Snapshot: snapshot(release), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
			offered = offered || strings.HasPrefix(r.Changes, "From 1.108.6 on in that line the row")
		}
		if offered != want {
			t.Errorf("%q: offered %v", release, offered)
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
