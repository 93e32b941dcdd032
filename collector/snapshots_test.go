package collector

import (
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// now is the moment of every hand-made snapshot.
var now = time.Date(2025, 6, 10, 12, 0, 0, 0, time.UTC)

// hash is a key's identity: as long as a SHA-256 in hex.
func hash(digit string) string { return strings.Repeat(digit, 64) }

func keyID(digit string) budget.ID  { return budget.ID{Scope: budget.Key, Value: hash(digit)} }
func teamID(value string) budget.ID { return budget.ID{Scope: budget.Team, Value: value} }

func usdCap(v float64) budget.Cap { return budget.Cap{State: budget.CapKnown, Low: v, High: v} }

func counterAt(value float64, ttl time.Duration) budget.Counter {
	return budget.Counter{State: budget.CounterPresent, Value: value, TTL: ttl, ReadAt: now}
}

func ago(d time.Duration) budget.Optional[time.Time] { return budget.Some(now.Add(-d)) }

// snapshots are hand-made, one for each golden file.
var snapshots = map[string]*budget.Snapshot{
	// Both scopes and both sources, with one entity for each thing that can be known, or not known, of one.
	"full": {
		At:      now,
		Release: budget.Release{Version: "1.84.0"},
		Sources: map[budget.Source]budget.SourceState{
			budget.LiteLLM: {Up: true, LastSuccess: ago(5 * time.Second)},
			budget.Redis:   {Up: true, LastSuccess: ago(2 * time.Second)},
		},
		Entities: map[budget.Scope][]*budget.Entity{
			budget.Key: {
				{ // falsely locked, the way BerriAI/litellm #27735 tells it
					ID: keyID("1"),
					Names: budget.Names{
						Alias: "billing-bot", TeamID: "team-a", TeamAlias: "Team A", UserID: "u-1",
						OrgID: "org-1", ProjectID: "project-1", BudgetID: "budget-1",
					},
					Reported: budget.Some(3.536), Enforced: budget.Some(10.607), Divergence: budget.Some(10.607 - 3.536),
					Tolerance: budget.Some(0.01), Counter: counterAt(10.607, 42500*time.Millisecond), Cap: usdCap(10),
					ResetAt: budget.Some(now.Add(24 * time.Hour)), Verdict: budget.FalselyLocked, Cause: budget.ReseedMultiple,
					LockJudged: true, FalselyLockedLast: ago(2 * time.Second), Observed: 1.25, FirstAt: now.Add(-time.Hour),
				},
				{ // cold: no counter, so what is reported is enforced
					ID: keyID("2"), Names: budget.Names{Alias: "cold"},
					Reported: budget.Some(1.5), Enforced: budget.Some(1.5), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
					Counter: budget.Counter{State: budget.CounterAbsent, ReadAt: now}, Cap: usdCap(20),
					Verdict: budget.OK, LockJudged: true, FirstAt: now.Add(-time.Hour),
				},
				{ // unlimited
					ID:       keyID("3"),
					Reported: budget.Some(7.0), Enforced: budget.Some(7.0), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
					Counter: counterAt(7, 60*time.Second), Cap: budget.Cap{State: budget.CapUnlimited},
					Verdict: budget.OK, Observed: 2, FirstAt: now.Add(-time.Hour),
				},
				{ // a cap of 0: a deliberate block, shown as 0 and never falsely locked
					ID:       keyID("4"),
					Reported: budget.Some(0.0), Enforced: budget.Some(0.0), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
					Counter: budget.Counter{State: budget.CounterAbsent, ReadAt: now}, Cap: usdCap(0),
					Verdict: budget.OK, LockJudged: true, FirstAt: now.Add(-time.Hour),
				},
				{ // LiteLLM told no spend
					ID: keyID("5"), Counter: counterAt(2, 60*time.Second), Cap: usdCap(5), FirstAt: now.Add(-time.Hour),
				},
				{ // the linked budget was not read, and the counter is no number
					ID: keyID("6"), Names: budget.Names{BudgetID: "budget-2"},
					Reported: budget.Some(2.0), Counter: budget.Counter{State: budget.CounterUnreadable, ReadAt: now},
					FirstAt: now.Add(-time.Hour),
				},
				{ // time windows, one of them cold; a temporary increase of which it cannot be seen whether it is over
					ID:       keyID("7"),
					Reported: budget.Some(3.0), Enforced: budget.Some(3.0), Divergence: budget.Some(0.0), Tolerance: budget.Some(0.01),
					Counter: counterAt(3, 60*time.Second), Cap: budget.Cap{State: budget.CapKnown, Low: 10, High: 15},
					Windows: []budget.EntityWindow{
						{Duration: "1d", MaxBudget: budget.Some(2.0), ResetAt: budget.Some(now.Add(12 * time.Hour)), Enforced: budget.Some(1.75)},
						{Duration: "30d", MaxBudget: budget.Some(20.0)},
					},
					Verdict: budget.OK, FirstAt: now.Add(-time.Hour),
				},
				{ // pinned at its cap by reservations in flight
					ID:       keyID("8"),
					Reported: budget.Some(9.0), Enforced: budget.Some(10.0), Divergence: budget.Some(1.0), Tolerance: budget.Some(0.01),
					Counter: counterAt(10, 30*time.Second), Cap: usdCap(10),
					Verdict: budget.FalselyLocked, Cause: budget.PinnedAtCap, LockJudged: true, FirstAt: now.Add(-time.Hour),
				},
				{ // a negative counter that never expires, and a lock and a bypass in the past
					ID:       keyID("9"),
					Reported: budget.Some(0.5), Enforced: budget.Some(-1.5), Divergence: budget.Some(-2.0), Tolerance: budget.Some(0.01),
					Counter: counterAt(-1.5, budget.NoExpiry), Cap: usdCap(10),
					ResetAt: budget.Some(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)),
					Verdict: budget.Diverging, Cause: budget.Negative, LockJudged: true,
					FalselyLockedLast: ago(23 * time.Hour), BypassedLast: ago(12 * time.Hour), FirstAt: now.Add(-24 * time.Hour),
				},
			},
			budget.Team: {
				{
					ID: teamID("team-a"), Names: budget.Names{Alias: "Team A", OrgID: "org-1"},
					Reported: budget.Some(101.0), Enforced: budget.Some(40.0), Divergence: budget.Some(-61.0), Tolerance: budget.Some(0.5),
					Counter: counterAt(40, 55*time.Second), Cap: usdCap(100),
					Verdict: budget.Bypassed, Cause: budget.CounterLost, LockJudged: true,
					ResetAt: budget.Some(now.Add(48 * time.Hour)), BypassedLast: ago(time.Second), FalselyLockedLast: ago(time.Hour),
					Windows: []budget.EntityWindow{{
						Duration: "7d", MaxBudget: budget.Some(50.0), ResetAt: budget.Some(now.Add(48 * time.Hour)), Enforced: budget.Some(40.0),
					}},
					Observed: 12.5, FirstAt: now.Add(-time.Hour),
				},
			},
		},
		Fleets: map[budget.Scope]budget.Fleet{
			budget.Key: {
				Entities: 9, CapUnknown: 2, FalselyLocked: budget.Some(2), Bypassed: budget.Some(0),
				Diverging:   map[budget.Cause]int{budget.ReseedMultiple: 1, budget.PinnedAtCap: 1, budget.Negative: 1},
				ReportedSum: budget.Some(27.536), EnforcedSum: budget.Some(30.607),
				DivergenceMax: budget.Some(10.607 - 3.536), DivergenceMin: budget.Some(-2.0),
				CountersPresent: budget.Some(6), ReadingGapMax: budget.Some(3200 * time.Millisecond),
				Totals: budget.ScopeTotals{
					FalselyLockedEpisodes: 3, FalselyLockedTime: 95500 * time.Millisecond,
					BypassedEpisodes: 1, BypassedTime: time.Minute, UnreadableCounters: 17,
				},
			},
			budget.Team: {
				Entities: 1, FalselyLocked: budget.Some(0), Bypassed: budget.Some(1),
				Diverging:   map[budget.Cause]int{budget.CounterLost: 1},
				ReportedSum: budget.Some(101.0), EnforcedSum: budget.Some(40.0),
				DivergenceMax: budget.Some(-61.0), DivergenceMin: budget.Some(-61.0),
				CountersPresent: budget.Some(1), ReadingGapMax: budget.Some(time.Second),
				Totals: budget.ScopeTotals{BypassedEpisodes: 1, BypassedTime: 30 * time.Second},
			},
		},
		LastFullSweep: ago(30 * time.Second),
		WriteLag:      budget.Some(12 * time.Second),
		BufferLengths: map[string]int64{"litellm_spend_update_buffer": 4},
		FleetCauses:   map[budget.FleetCause]bool{budget.FlushStalled: true, budget.NoSharedCounters: false},
		CounterNames:  "bare",

		UnnamedRefusals: budget.Some[uint64](2),
	},

	// Without a Redis: reported spend and what follows from it, and no verdict of any kind.
	"reported_only": {
		At:      now,
		Release: budget.Release{Version: "1.108.11"},
		Sources: map[budget.Source]budget.SourceState{budget.LiteLLM: {Up: true, LastSuccess: ago(5 * time.Second)}},
		Entities: map[budget.Scope][]*budget.Entity{
			budget.Key: {{
				ID: keyID("1"), Names: budget.Names{Alias: "billing-bot"},
				Reported: budget.Some(3.536), Cap: usdCap(10), FirstAt: now.Add(-time.Hour),
			}},
		},
		Fleets: map[budget.Scope]budget.Fleet{
			budget.Key:  {Entities: 1, ReportedSum: budget.Some(3.536)},
			budget.Team: {ReportedSum: budget.Some(0.0)},
		},
		LastFullSweep: ago(30 * time.Second),
		Refusals: map[budget.Scope]budget.RefusalCounts{
			budget.Key: {BelowCap: 3, AtCap: 40, Unknown: 1}, budget.Team: {}, "user": {Unknown: 2},
		},
		UnnamedRefusals: budget.Some[uint64](5),
	},

	// The first cycle has not ended.
	"empty": {
		At: now,
		Sources: map[budget.Source]budget.SourceState{
			budget.LiteLLM: {},
			budget.Redis:   {},
		},
	},

	// LiteLLM has been gone for longer than its staleness bound, and what came from it with it.
	"stale_source": {
		At:      now,
		Release: budget.Release{Version: "1.84.0"},
		Sources: map[budget.Source]budget.SourceState{
			budget.LiteLLM: {LastSuccess: ago(10 * time.Minute), Problem: "GET /key/list: connection refused"},
			budget.Redis:   {Up: true, LastSuccess: ago(2 * time.Second)},
		},
		LastFullSweep: ago(11 * time.Minute),
		BufferLengths: map[string]int64{"litellm_spend_update_buffer": 0},
	},
}
