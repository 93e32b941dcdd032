package simulator_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/conformance"
	"litellm_budget_exporter/conformance/recorded"
	"litellm_budget_exporter/examples/simulator"
)

// start is when the manual clock of the tests begins: a Tuesday.
var start = time.Date(2026, 11, 24, 7, 42, 0, 0, time.UTC)

// TestAnswersLikeEveryRecordedRelease asks the simulator what a real LiteLLM was asked, with the same population and
// after the same traffic.
func TestAnswersLikeEveryRecordedRelease(t *testing.T) {
	server := redistest.Standalone(t)
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			rdb := server.Client(t)
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			s := newSimulator(t, simulator.Options{Release: release, Redis: rdb, Workers: 3, Clock: simulator.NewManualClock(start)})
			p := populate(s)
			client := clientOf(s)

			traffic, err := p.Ask(client, "http://litellm", conformance.Traffic)
			if err != nil {
				t.Fatal(err)
			}
			wantCounters, err := conformance.RecordedCounters(release)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range conformance.CounterDifferences(wantCounters, dump(t, rdb, p)) {
				t.Errorf("Redis: %s", d)
			}
			step(t, s, 20*time.Second)
			answers, err := p.Ask(client, "http://litellm", conformance.Reads)
			if err != nil {
				t.Fatal(err)
			}
			want, err := conformance.Recorded(release)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"chat-team", "chat-budget-exceeded"} {
				answers[name] = traffic[name]
			}
			for _, d := range want.Differences(answers) {
				t.Error(d)
			}
			for _, c := range conformance.Checks {
				if err := c.Run(answers); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
		})
	}
}

// populate makes the population that was recorded.
func populate(s *simulator.Simulator) conformance.Population {
	const prefix = "rec1"
	// Organizations need a licence from 1.104.9 on, which the recorded LiteLLMs had not.
	org := prefix + "-org"
	for _, release := range []string{"1.106.10", "1.108.11", "1.109.1"} {
		if s.Release() == release {
			org = ""
		}
	}
	at := start
	soon := func() time.Time { at = at.Add(30 * time.Millisecond); return at }
	nextMonth := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	tomorrow := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

	for _, b := range []simulator.Budget{
		{ID: prefix + "-budget", MaxBudget: simulator.USD(7), SoftBudget: simulator.USD(5), Duration: "1d", ResetAt: tomorrow},
		{ID: "org", MaxBudget: simulator.USD(50), Duration: "30d"},
		{ID: "member", MaxBudget: simulator.USD(12)},
		{ID: "customer", MaxBudget: simulator.USD(4), Duration: "1d", ResetAt: tomorrow},
		{ID: "soft", SoftBudget: simulator.USD(2)},
	} {
		b.CreatedAt = soon()
		s.PutBudget(b)
	}
	if org != "" {
		s.AddOrganization(simulator.Organization{ID: org, BudgetID: "org"})
	}
	s.AddUser(simulator.User{ID: prefix + "-user", Role: simulator.InternalUser, MaxBudget: simulator.USD(20), BudgetDuration: "30d", ResetAt: nextMonth})
	s.AddUser(simulator.User{ID: prefix + "-viewer", Role: simulator.Viewer})
	s.AddTeam(simulator.Team{
		ID: prefix + "-team", Alias: prefix + " team", OrgID: org, MaxBudget: simulator.USD(30), BudgetDuration: "30d", ResetAt: nextMonth,
		Members: []simulator.Member{
			{UserID: "default_user_id", Role: "admin"},
			{UserID: prefix + "-user", Email: "rec1@example.invalid", Role: "user", BudgetID: "member"},
		},
		CreatedAt: soon(),
	})
	p := conformance.Population{Prefix: prefix, Bearers: map[string]string{}, Hashes: map[string]string{}, MasterKey: s.MasterKey()}
	for _, k := range []simulator.Key{
		{Alias: "personal", UserID: prefix + "-user", MaxBudget: simulator.USD(1.5), BudgetDuration: "1h", ResetAt: start.Truncate(time.Hour).Add(time.Hour), Metadata: map[string]any{"a": 1}},
		{Alias: "team", TeamID: prefix + "-team", OrgID: org, MaxBudget: simulator.USD(10), BudgetDuration: "30d", ResetAt: nextMonth},
		{Alias: "member", TeamID: prefix + "-team", OrgID: org, UserID: prefix + "-user", MaxBudget: simulator.USD(10)},
		{Alias: "windows", Windows: []simulator.Window{
			{Duration: "1h", MaxBudget: 1, ResetAt: start.Truncate(time.Hour).Add(time.Hour)}, {Duration: "1d", MaxBudget: 5, ResetAt: tomorrow},
		}},
		{Alias: "by-budget-id", BudgetID: prefix + "-budget"},
		{Alias: "unlimited"},
		{Alias: "soft", BudgetID: "soft", MaxBudget: simulator.USD(3), Expires: start.AddDate(0, 0, 7).Add(978 * time.Millisecond)},
		{Alias: "tiny", MaxBudget: simulator.USD(0.0008)},
		{Alias: "viewer", UserID: prefix + "-viewer"},
	} {
		name := k.Alias
		k.Alias, k.CreatedAt = prefix+"-"+name, soon()
		k = s.AddKey(k)
		p.Bearers[name], p.Hashes[name] = k.Raw, k.Hash
	}
	return p
}

func newSimulator(t testing.TB, o simulator.Options) *simulator.Simulator {
	t.Helper()
	s, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func step(t testing.TB, s *simulator.Simulator, d time.Duration) {
	t.Helper()
	if err := s.Step(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// clientOf is a client whose requests the simulator answers without a network.
func clientOf(s *simulator.Simulator) *http.Client {
	h := s.Handler()
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dump reads all counters.
func dump(t testing.TB, rdb redis.UniversalClient, p conformance.Population) map[string]conformance.Counter {
	t.Helper()
	ctx := context.Background()
	names, err := rdb.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	counters := map[string]conformance.Counter{}
	for _, name := range names {
		if !strings.HasPrefix(name, "spend:") {
			t.Errorf("%s is no counter", name)
		}
		counters[p.Anonymous(name)] = conformance.Counter{
			Type: rdb.Type(ctx, name).Val(), Value: rdb.Get(ctx, name).Val(), PTTL: rdb.PTTL(ctx, name).Val().Milliseconds(),
		}
	}
	return counters
}
