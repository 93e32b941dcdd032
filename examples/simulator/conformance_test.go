package simulator_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/conformance"
	"litellm_budget_exporter/conformance/recorded"
	"litellm_budget_exporter/examples/simulator"
)

// TestAnswersLikeEveryRecordedRelease asks the simulator what a real LiteLLM was asked, with the same population and
// after the same traffic.
func TestAnswersLikeEveryRecordedRelease(t *testing.T) {
	server := redistest.Standalone(t)
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: release})
			p := populate(l.Simulator)
			client := clientOf(l.Simulator)

			traffic, err := p.Ask(client, "http://litellm", conformance.Traffic)
			if err != nil {
				t.Fatal(err)
			}
			wantCounters, err := conformance.RecordedCounters(release)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range conformance.CounterDifferences(wantCounters, l.dump(p)) {
				t.Errorf("Redis: %s", d)
			}
			l.step(20 * time.Second)
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

			l.addOdd(p)
			odd, err := p.Ask(client, "http://litellm", conformance.OddTraffic(hasOrganizations(release)))
			if err != nil {
				t.Fatal(err)
			}
			oddCounters := conformance.OddCounters(l.dump(p))
			l.step(20 * time.Second)
			oddReads, err := p.Ask(client, "http://litellm", conformance.OddReads)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(odd, oddReads)
			wantOdd, err := conformance.RecordedOdd(release)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(conformance.CounterDifferences(wantOdd.Counters, oddCounters), wantOdd.Answers.Differences(odd)...) {
				t.Error(d)
			}
		})
	}
}

// hasOrganizations: they need a licence from 1.104.9 on, which the recorded LiteLLMs had not.
func hasOrganizations(release string) bool {
	return !slices.Contains([]string{"1.106.10", "1.108.11", "1.109.1"}, release)
}

// addOdd makes the keys that conformance.Odd names.
func (l lab) addOdd(p conformance.Population) {
	const budget, atCap = 0.0008, 0.0005
	name := func(what string) string { return p.Prefix + "-" + what }
	window := []simulator.Window{{Duration: "1d", MaxBudget: budget, ResetAt: midnight}}
	admin := simulator.Member{UserID: "default_user_id", Role: "admin"}

	l.PutBudget(simulator.Budget{ID: "poor", MaxBudget: new(budget)})
	l.AddTeam(simulator.Team{ID: name("over"), MaxBudget: new(budget), Members: []simulator.Member{admin}})
	l.AddTeam(simulator.Team{ID: name("at-cap"), MaxBudget: new(atCap), Members: []simulator.Member{admin}})
	l.AddTeam(simulator.Team{ID: name("over-window"), Windows: window, Members: []simulator.Member{admin}})
	l.AddTeam(simulator.Team{ID: name("members"), Members: []simulator.Member{admin, {UserID: name("poor-member"), Role: "user", BudgetID: "poor"}}})
	l.AddUser(simulator.User{ID: name("poor"), Role: simulator.InternalUser, MaxBudget: new(budget)})
	l.AddUser(simulator.User{ID: name("poor-member"), Role: simulator.InternalUser})
	if hasOrganizations(l.Release()) {
		l.AddOrganization(simulator.Organization{ID: name("poor-org"), BudgetID: "poor"})
	}
	for key, k := range map[string]simulator.Key{
		"blocked":           {Blocked: true},
		"expired":           {Expires: start.Add(978 * time.Millisecond)},
		"restricted":        {UserID: name("viewer"), AllowedRoutes: []string{"/key/list"}},
		"over-team":         {TeamID: name("over")},
		"at-team-cap":       {TeamID: name("at-cap")},
		"over-team-window":  {TeamID: name("over-window")},
		"over-member":       {TeamID: name("members"), UserID: name("poor-member")},
		"over-user":         {UserID: name("poor")},
		"over-organization": {OrgID: name("poor-org")},
		"over-window":       {Windows: window},
	} {
		if key == "over-organization" && !hasOrganizations(l.Release()) {
			continue
		}
		k.Alias = name(key)
		k = l.AddKey(k)
		p.Bearers[key], p.Hashes[key] = k.Raw, k.Hash
	}
}

// populate makes the population that was recorded.
func populate(s *simulator.Simulator) conformance.Population {
	const prefix = "rec1"
	org := prefix + "-org"
	if !hasOrganizations(s.Release()) {
		org = ""
	}
	at := start
	soon := func() time.Time { at = at.Add(30 * time.Millisecond); return at }
	nextMonth := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	tomorrow := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

	for _, b := range []simulator.Budget{
		{ID: prefix + "-budget", MaxBudget: new(7.0), SoftBudget: new(5.0), Duration: "1d", ResetAt: tomorrow},
		{ID: "org", MaxBudget: new(50.0), Duration: "30d"},
		{ID: "member", MaxBudget: new(12.0)},
		{ID: "customer", MaxBudget: new(4.0), Duration: "1d", ResetAt: tomorrow},
		{ID: "soft", SoftBudget: new(2.0)},
	} {
		b.CreatedAt = soon()
		s.PutBudget(b)
	}
	if org != "" {
		s.AddOrganization(simulator.Organization{ID: org, BudgetID: "org"})
	}
	s.AddUser(simulator.User{ID: prefix + "-user", Role: simulator.InternalUser, MaxBudget: new(20.0), BudgetDuration: "30d", ResetAt: nextMonth})
	s.AddUser(simulator.User{ID: prefix + "-viewer", Role: simulator.Viewer})
	s.AddTeam(simulator.Team{
		ID: prefix + "-team", Alias: prefix + " team", OrgID: org, MaxBudget: new(30.0), BudgetDuration: "30d", ResetAt: nextMonth,
		Members: []simulator.Member{
			{UserID: "default_user_id", Role: "admin"},
			{UserID: prefix + "-user", Email: "rec1@example.invalid", Role: "user", BudgetID: "member"},
		},
		CreatedAt: soon(),
	})
	p := conformance.Population{Prefix: prefix, Bearers: map[string]string{}, Hashes: map[string]string{}, MasterKey: s.MasterKey()}
	for _, k := range []simulator.Key{
		{Alias: "personal", UserID: prefix + "-user", MaxBudget: new(1.5), BudgetDuration: "1h", ResetAt: start.Truncate(time.Hour).Add(time.Hour), Metadata: map[string]any{"a": 1}},
		{Alias: "team", TeamID: prefix + "-team", OrgID: org, MaxBudget: new(10.0), BudgetDuration: "30d", ResetAt: nextMonth},
		{Alias: "member", TeamID: prefix + "-team", OrgID: org, UserID: prefix + "-user", MaxBudget: new(10.0)},
		{Alias: "windows", Windows: []simulator.Window{
			{Duration: "1h", MaxBudget: 1, ResetAt: start.Truncate(time.Hour).Add(time.Hour)}, {Duration: "1d", MaxBudget: 5, ResetAt: tomorrow},
		}},
		{Alias: "by-budget-id", BudgetID: prefix + "-budget"},
		{Alias: "unlimited"},
		{Alias: "soft", BudgetID: "soft", MaxBudget: new(3.0), Expires: start.AddDate(0, 0, 7).Add(978 * time.Millisecond)},
		{Alias: "tiny", MaxBudget: new(0.0008)},
		{Alias: "viewer", UserID: prefix + "-viewer"},
	} {
		name := k.Alias
		k.Alias, k.CreatedAt = prefix+"-"+name, soon()
		k = s.AddKey(k)
		p.Bearers[name], p.Hashes[name] = k.Raw, k.Hash
	}
	return p
}

// dump reads all counters.
func (l lab) dump(p conformance.Population) map[string]conformance.Counter {
	l.t.Helper()
	counters := map[string]conformance.Counter{}
	for name, value := range l.values() {
		counters[p.Anonymous(name)] = conformance.Counter{
			Type: l.redis.Type(l.t.Context(), name).Val(), Value: value, PTTL: l.life(name).Milliseconds(),
		}
	}
	return counters
}
