package simulator_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// TestReseedCopies: three workers miss a counter at once. What they make of it was recorded as incident-reseed.
func TestReseedCopies(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct {
		release string
		copies  float64
	}{{"1.83.14", 3}, {"1.84.0", 3}, {"1.84.1", 1}, {"1.85.0", 3}, {"1.86.2", 3}, {"1.87.5", 1}, {"1.90.7", 1}, {"1.101.6", 1}, {"1.106.10", 1}, {"1.108.11", 1}, {"1.109.1", 1}} {
		t.Run(tc.release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: tc.release})
			k := l.AddKey(simulator.Key{Spend: 3.5, MaxBudget: new(100.0)})
			if admitted := l.race(k.Hash, 3, 0.001); admitted != 3 {
				t.Errorf("%d admitted", admitted)
			}
			if got, want := l.usd(keyCounter(k)), tc.copies*3.5+0.003; !near(got, want) {
				t.Errorf("counter %v, want %v", got, want)
			}
		})
	}
}

// TestReseedLocks is BerriAI/litellm #27735 to the last digit.
func TestReseedLocks(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0"})
	k := l.AddKey(simulator.Key{Spend: 3.5355, MaxBudget: new(10.0)})
	if admitted := l.race(k.Hash, 3, 0.0005); admitted != 1 {
		t.Errorf("%d admitted, want 1", admitted)
	}
	if got := l.usd(keyCounter(k)); got != 10.607 {
		t.Errorf("counter %v, want 10.607", got)
	}
	l.step(15 * time.Second)
	if got := l.spend(k.Hash); got != 3.536 {
		t.Errorf("reported %v, want 3.536", got)
	}
	refusal := l.send(k.Hash, 0.0005)
	if refusal == nil || refusal.Status != 400 || refusal.Message != "Budget has been exceeded! Current cost: 10.607, Max budget: 10.0" {
		t.Errorf("refusal %+v", refusal)
	}
	l.step(46 * time.Second) // refusals write nothing, so the counter runs out
	if refusal := l.send(k.Hash, 0.0005); refusal != nil || !near(l.usd(keyCounter(k)), 3.5365) {
		t.Errorf("after a minute: refusal %v, counter %v", refusal, l.usd(keyCounter(k)))
	}
}

// TestCounterRestart: up to 1.83.14 a worker that remembers the counter, as it does for ten minutes, does not seed it again.
func TestCounterRestart(t *testing.T) {
	server := redistest.Standalone(t)
	for _, c := range []struct {
		release string
		later   time.Duration
		want    float64
	}{{"1.83.14", 20 * time.Second, 0.25}, {"1.83.14", 9 * time.Minute, 0.25}, {"1.83.14", 11 * time.Minute, 3.75}, {"1.84.0", 20 * time.Second, 3.75}} {
		l := newLab(t, server, simulator.Options{Release: c.release, Workers: 1})
		k := l.AddKey(simulator.Key{Spend: 3.25, MaxBudget: new(100.0)})
		l.send(k.Hash, 0.25)
		l.step(c.later)
		l.DeleteCounter(t.Context(), keyCounter(k))
		l.send(k.Hash, 0.25)
		if got := l.usd(keyCounter(k)); !near(got, c.want) {
			t.Errorf("%s: counter %v after %s, want %v", c.release, got, c.later, c.want)
		}
	}
}

func TestLifeOfCounters(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]time.Duration{"1.83.14": 20 * time.Second, "1.84.0": 60 * time.Second} {
		t.Run(release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: release, Workers: 1})
			k := l.AddKey(simulator.Key{MaxBudget: new(100.0)})
			l.send(k.Hash, 1)
			l.step(40 * time.Second)
			l.send(k.Hash, 1)
			if got := l.life(keyCounter(k)); got > want || got < want-10*time.Second {
				t.Errorf("40 s after its first write, at its second: %v left, want %v", got, want)
			}
			l.step(want - 10*time.Second)
			if l.counter(keyCounter(k)) == "" {
				t.Error("gone too early")
			}
			l.step(10 * time.Second)
			if got := l.counter(keyCounter(k)); got != "" {
				t.Errorf("still %q", got)
			}
		})
	}
}

func TestImmortalCounterStays(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	k := l.AddKey(simulator.Key{})
	l.SetCounter(t.Context(), keyCounter(k), "7.5", 0)
	l.step(time.Hour)
	if l.counter(keyCounter(k)) != "7.5" || l.life(keyCounter(k)) != -1 {
		t.Errorf("counter %q, life %v", l.counter(keyCounter(k)), l.life(keyCounter(k)))
	}
}

func TestFlushBringsSpendToTheRows(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	l.AddTeam(simulator.Team{ID: "t", Members: []simulator.Member{{UserID: "u", Role: "user"}}})
	l.AddUser(simulator.User{ID: "u", Role: simulator.InternalUser})
	k := l.AddKey(simulator.Key{TeamID: "t", UserID: "u", Spend: 1, TotalSpend: 5})
	l.step(time.Second)
	l.send(k.Hash, 0.25)
	l.step(8 * time.Second)
	if got := l.spend(k.Hash); got != 1 {
		t.Errorf("reported %v before any flush", got)
	}
	l.step(6 * time.Second) // a flush is every 10 to 15 s
	row, _ := l.Key(k.Hash)
	team, _ := l.Team("t")
	if row.Spend != 1.25 || row.TotalSpend != 5.25 || team.Spend != 0.25 || team.Members[0].Spend != 0.25 || team.Members[0].TotalSpend != 0.25 {
		t.Errorf("key %v, in all %v, team %v, member %+v", row.Spend, row.TotalSpend, team.Spend, team.Members[0])
	}
	if early := start.Add(9 * time.Second); row.UpdatedAt.Before(early) || row.LastActive.Before(early) || team.UpdatedAt.Before(early) {
		t.Errorf("updated %v, active %v, team updated %v", row.UpdatedAt, row.LastActive, team.UpdatedAt)
	}
}

func TestFlushWaitsForTheDatabase(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	k := l.AddKey(simulator.Key{})
	l.send(k.Hash, 0.25)
	l.SetDatabaseDown(true)
	l.step(time.Minute)
	if got := l.spend(k.Hash); got != 0 {
		t.Errorf("reported %v without a database", got)
	}
	l.SetDatabaseDown(false)
	l.step(15 * time.Second)
	if got := l.spend(k.Hash); got != 0.25 {
		t.Errorf("reported %v, want 0.25", got)
	}
}

func TestReservationIsPinnedAtTheCap(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0"})
	l.AddTeam(simulator.Team{ID: "t", Spend: 1, MaxBudget: new(100.0)})
	k := l.AddKey(simulator.Key{Spend: 4.7, MaxBudget: new(5.0), TeamID: "t"})
	flights, refusals := l.Begin(t.Context(), simulator.Request{Key: k.Hash, Cost: 0.1, Estimate: 2})
	if refusals[0] != nil {
		t.Fatal(refusals[0])
	}
	if got := l.usd(keyCounter(k)); math.Abs(got-5) > 1e-9 {
		t.Errorf("key's counter %v, want its cap 5", got)
	}
	if got := l.usd(simulator.TeamCounter("t")); !near(got, 1.3) {
		t.Errorf("team's counter %v: the reservation is shrunk on all counters", got)
	}
	if l.send(k.Hash, 0.1) == nil {
		t.Error("a second request was admitted")
	}
	flights[0].Settle(t.Context())
	if got := l.usd(keyCounter(k)); !near(got, 4.8) {
		t.Errorf("settled: counter %v, want 4.8", got)
	}
	if got := l.usd(simulator.TeamCounter("t")); !near(got, 1.1) {
		t.Errorf("settled: team's counter %v, want 1.1", got)
	}
	l.step(15 * time.Second)
	if got := l.spend(k.Hash); !near(got, 4.8) {
		t.Errorf("reported %v, want 4.8", got)
	}
}

// TestReservationRefusesTeam: a team at its cap passes the read-time check, which wants more than the cap, and is
// refused at the reservation, which takes back what it added.
func TestReservationRefusesTeam(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0"})
	l.AddTeam(simulator.Team{ID: "t", Spend: 5, MaxBudget: new(5.0)})
	k := l.AddKey(simulator.Key{TeamID: "t"})
	refusal := l.send(k.Hash, 0.25)
	if refusal == nil || refusal.Message != "Budget has been exceeded! Team=t Current cost: 6.0, Max budget: 5.0" {
		t.Errorf("refusal %v", refusal)
	}
	if got := l.usd(simulator.TeamCounter("t")); got != 5 {
		t.Errorf("counter %v, want 5", got)
	}
}

func TestUnfinishedRequests(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct {
		release string
		end     func(*testing.T, *simulator.Flight)
		want    float64
	}{
		{"1.84.0", func(t *testing.T, f *simulator.Flight) { t.Helper(); f.Cancel(t.Context()) }, 3},
		{"1.90.7", func(t *testing.T, f *simulator.Flight) { t.Helper(); f.Cancel(t.Context()) }, 1},
		{"1.109.1", func(_ *testing.T, f *simulator.Flight) { f.Kill() }, 3},
	} {
		l := newLab(t, server, simulator.Options{Release: tc.release})
		k := l.AddKey(simulator.Key{Spend: 1, MaxBudget: new(10.0)})
		flights, _ := l.Begin(t.Context(), simulator.Request{Key: k.Hash, Cost: 0.5, Estimate: 2})
		tc.end(t, flights[0])
		if got := l.usd(keyCounter(k)); !near(got, tc.want) {
			t.Errorf("%s: counter %v, want %v", tc.release, got, tc.want)
		}
		l.step(time.Minute)
		if got := l.counter(keyCounter(k)); got != "" {
			t.Errorf("%s: counter %q after its life", tc.release, got)
		}
		if got := l.spend(k.Hash); got != 1 {
			t.Errorf("%s: reported %v", tc.release, got)
		}
	}
}

func TestLeaseKeepsCountersAlive(t *testing.T) {
	server := redistest.Standalone(t)
	for release, alive := range map[string]bool{"1.101.6": false, "1.106.10": true} {
		l := newLab(t, server, simulator.Options{Release: release})
		k := l.AddKey(simulator.Key{MaxBudget: new(10.0)})
		flights, _ := l.Begin(t.Context(), simulator.Request{Key: k.Hash, Cost: 0.5, Estimate: 2})
		l.step(5 * time.Minute)
		if got := l.counter(keyCounter(k)) != ""; got != alive {
			t.Errorf("%s: counter %q", release, l.counter(keyCounter(k)))
		}
		flights[0].Settle(t.Context())
		l.step(61 * time.Second)
		if got := l.counter(keyCounter(k)); got != "" {
			t.Errorf("%s: counter %q although the request ended", release, got)
		}
	}
}

// TestCounterLostBeforeSettlement: the counter expired while the request ran.
func TestCounterLostBeforeSettlement(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]float64{"1.84.0": 3.5, "1.90.7": 3, "1.102.4": 3.5} {
		l := newLab(t, server, simulator.Options{Release: release})
		k := l.AddKey(simulator.Key{Spend: 3, MaxBudget: new(10.0)})
		flights, _ := l.Begin(t.Context(), simulator.Request{Key: k.Hash, Cost: 0.5, Estimate: 2})
		l.step(61 * time.Second)
		flights[0].Settle(t.Context())
		if got := l.usd(keyCounter(k)); !near(got, want) {
			t.Errorf("%s: counter %v, want %v", release, got, want)
		}
	}
}

// TestNegativeCounter: a worker that trusts its memory settles against a counter that was reset meanwhile.
func TestNegativeCounter(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]float64{"1.84.0": -1.5, "1.109.1": 3.5} {
		l := newLab(t, server, simulator.Options{Release: release})
		k := l.AddKey(simulator.Key{Spend: 3, MaxBudget: new(10.0)})
		flights, _ := l.Begin(t.Context(), simulator.Request{Key: k.Hash, Cost: 0.5, Estimate: 2})
		l.SetCounter(t.Context(), keyCounter(k), "0.0", time.Minute)
		flights[0].Settle(t.Context())
		if got := l.usd(keyCounter(k)); !near(got, want) {
			t.Errorf("%s: counter %v, want %v", release, got, want)
		}
	}
}

// TestStaleLow was recorded as scenario-stale-low.
func TestStaleLow(t *testing.T) {
	server := redistest.Standalone(t)
	for release, believed := range map[string]bool{"1.84.0": true, "1.88.0": true, "1.90.7": false, "1.109.1": false} {
		l := newLab(t, server, simulator.Options{Release: release})
		k := l.AddKey(simulator.Key{Spend: 17, MaxBudget: new(10.0)})
		l.SetCounter(t.Context(), keyCounter(k), "6.0", time.Minute)
		refusal := l.send(k.Hash, 0.5)
		want := 6.5
		if !believed {
			want = 17
		}
		if (refusal == nil) != believed || !near(l.usd(keyCounter(k)), want) {
			t.Errorf("%s: refusal %v, counter %v", release, refusal, l.usd(keyCounter(k)))
		}
	}
}

func TestWindows(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0"})
	k := l.AddKey(simulator.Key{Windows: []simulator.Window{{Duration: "1h", MaxBudget: 1, ResetAt: start.Add(18 * time.Minute), Spend: 0.25}}})
	window := simulator.WindowCounter(keyCounter(k), "1h")
	if refusal := l.send(k.Hash, 0.5); refusal != nil {
		t.Fatal(refusal)
	}
	if got := l.usd(window); !near(got, 0.75) {
		t.Errorf("window's counter %v, want 0.75", got)
	}
	l.send(k.Hash, 0.25)
	refusal := l.send(k.Hash, 0.25)
	if refusal == nil || refusal.Message != "ExceededBudget: Key over 1h budget. Spend=$1.0000, Limit=$1.00" {
		t.Errorf("refusal %v", refusal)
	}
	l.step(20 * time.Minute) // past 8 o'clock and a run of the reset job
	row, _ := l.Key(k.Hash)
	if got := row.Windows[0]; got.Spend != 0 || !got.ResetAt.Equal(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("window %+v", got)
	}
	if refusal := l.send(k.Hash, 0.25); refusal != nil {
		t.Errorf("after the reset: %v", refusal)
	}
	if row.Spend != 0.75 {
		t.Errorf("the key's own spend %v is none of the window's business", row.Spend)
	}
}

func TestRefusalsByScope(t *testing.T) {
	server := redistest.Standalone(t)
	for name, tc := range map[string]struct {
		release string
		status  int
		key     simulator.Key
		message string
	}{
		"key":               {"1.84.0", 400, simulator.Key{Spend: 5, MaxBudget: new(5.0)}, "Budget has been exceeded! Current cost: 5.0, Max budget: 5.0"},
		"key named":         {"1.91.0", 429, simulator.Key{Alias: "ci", Raw: "sk-xyz9876", Spend: 5, MaxBudget: new(5.0)}, "Budget has been exceeded! Key=ci (sk-...9876) Current cost: 5.0, Max budget: 5.0"},
		"key of no name":    {"1.104.0", 422, simulator.Key{Raw: "sk-xyz9876", Spend: 5, MaxBudget: new(5.0)}, "Budget has been exceeded! Key=key (sk-...9876) Current cost: 5.0, Max budget: 5.0"},
		"cap of 0":          {"1.85.0", 429, simulator.Key{MaxBudget: new(0.0)}, "Budget has been exceeded! Current cost: 0.0, Max budget: 0.0"},
		"linked budget":     {"1.84.0", 400, simulator.Key{Spend: 7, BudgetID: "b"}, "Budget has been exceeded! Current cost: 7.0, Max budget: 7.0"},
		"own cap first":     {"1.84.0", 0, simulator.Key{Spend: 7, BudgetID: "b", MaxBudget: new(20.0)}, ""},
		"raised cap":        {"1.84.0", 0, simulator.Key{Spend: 5, MaxBudget: new(5.0), Metadata: map[string]any{"temp_budget_increase": 2.0, "temp_budget_expiry": "2026-11-25T00:00:00"}}, ""},
		"raise is over":     {"1.84.0", 400, simulator.Key{Spend: 5, MaxBudget: new(5.0), Metadata: map[string]any{"temp_budget_increase": 2.0, "temp_budget_expiry": "2026-11-23T00:00:00Z"}}, "Budget has been exceeded! Current cost: 5.0, Max budget: 5.0"},
		"team":              {"1.84.0", 400, simulator.Key{TeamID: "over"}, "Budget has been exceeded! Team=over Current cost: 5.5, Max budget: 5.0"},
		"member":            {"1.84.0", 400, simulator.Key{TeamID: "member", UserID: "poor"}, "Budget has been exceeded! User=poor in Team=member Current cost: 7.0, Max budget: 7.0"},
		"user":              {"1.84.0", 400, simulator.Key{UserID: "poor"}, "ExceededBudget: User=poor over budget. Spend=3.0, Budget=2.0"},
		"user, team's key":  {"1.84.0", 0, simulator.Key{UserID: "poor", TeamID: "rich"}, ""},
		"organization":      {"1.84.0", 400, simulator.Key{OrgID: "o"}, "Budget has been exceeded! Organization=o Current cost: 7.5, Max budget: 7.0"},
		"nothing in excess": {"1.84.0", 0, simulator.Key{Spend: 4, MaxBudget: new(5.0)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: tc.release})
			l.PutBudget(simulator.Budget{ID: "b", MaxBudget: new(7.0)})
			l.AddTeam(simulator.Team{ID: "over", Spend: 5.5, MaxBudget: new(5.0)})
			l.AddTeam(simulator.Team{ID: "rich"})
			l.AddTeam(simulator.Team{ID: "member", Members: []simulator.Member{{UserID: "poor", Spend: 7, BudgetID: "b"}}})
			l.AddUser(simulator.User{ID: "poor", Spend: 3, MaxBudget: new(2.0)})
			l.AddOrganization(simulator.Organization{ID: "o", Spend: 7.5, BudgetID: "b"})
			k := l.AddKey(tc.key)
			refusal := l.send(k.Hash, 0.1)
			if tc.status == 0 {
				if refusal != nil {
					t.Errorf("refused: %v", refusal)
				}
				return
			}
			if refusal == nil || refusal.Status != tc.status || refusal.Message != tc.message {
				t.Errorf("got %+v, want %d %s", refusal, tc.status, tc.message)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct{ release, namespace, prefix string }{
		{"1.84.0", "", ""}, {"1.84.0", "prod", "prod:"}, {"1.84.0", "spend", ""}, {"1.101.0", "spend", "spend:"}, {"1.109.1", "prod", "prod:"},
	} {
		l := newLab(t, server, simulator.Options{Release: tc.release, Namespace: tc.namespace})
		k := l.AddKey(simulator.Key{MaxBudget: new(5.0)})
		l.send(k.Hash, 0.5)
		for name := range l.values() {
			if name != tc.prefix+keyCounter(k) {
				t.Errorf("%s, namespace %q: counter %s", tc.release, tc.namespace, name)
			}
		}
	}
}

func TestSpendEdits(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct{ release, namespace, afterEdit, afterReset string }{
		{"1.88.0", "", "9", "9"},
		{"1.90.7", "", "", "0.0"},
		{"1.90.7", "ns", "9", "0.0"}, // DEL misses the namespace
		{"1.109.1", "", "1.0", "0.0"},
	} {
		l := newLab(t, server, simulator.Options{Release: tc.release, Namespace: tc.namespace})
		k := l.AddKey(simulator.Key{Spend: 9, MaxBudget: new(10.0)})
		name := strings.TrimPrefix(tc.namespace+":"+keyCounter(k), ":")
		l.SetCounter(t.Context(), keyCounter(k), "9", time.Minute)
		l.SetKeySpend(t.Context(), k.Hash, 1)
		if got := l.counter(name); got != tc.afterEdit || l.spend(k.Hash) != 1 {
			t.Errorf("%s %s: edited: counter %q, reported %v", tc.release, tc.namespace, got, l.spend(k.Hash))
		}
		l.SetCounter(t.Context(), keyCounter(k), "9", time.Minute)
		l.ResetKeySpend(t.Context(), k.Hash)
		if got := l.counter(name); got != tc.afterReset || l.spend(k.Hash) != 0 {
			t.Errorf("%s %s: reset: counter %q, reported %v", tc.release, tc.namespace, got, l.spend(k.Hash))
		}
	}
}

// TestRedisDown: LiteLLM takes an error for a counter that is not there, and lives on the rows.
func TestRedisDown(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	rich := l.AddKey(simulator.Key{Spend: 1, MaxBudget: new(10.0)})
	poor := l.AddKey(simulator.Key{Spend: 10, MaxBudget: new(10.0)})
	if err := l.redis.Close(); err != nil {
		t.Fatal(err)
	}
	if refusal := l.send(rich.Hash, 0.5); refusal != nil {
		t.Errorf("below its cap: %v", refusal)
	}
	if l.send(poor.Hash, 0.5) == nil {
		t.Error("at its cap: admitted")
	}
}
