package simulator_test

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

var (
	midnight  = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	nextNight = midnight.AddDate(0, 0, 1)
)

// TestResetJob was recorded as scenario-reset-job.
func TestResetJob(t *testing.T) {
	server := redistest.Standalone(t)
	for release, counter := range map[string]string{"1.84.0": "0.0", "1.101.6": "0.0", "1.109.1": ""} {
		t.Run(release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: release, Clock: simulator.NewManualClock(midnight.Add(-time.Minute))})
			l.PutBudget(simulator.Budget{ID: "b", MaxBudget: new(7.0), Duration: "1d", ResetAt: midnight})
			l.AddTeam(simulator.Team{ID: "t", Spend: 9, MaxBudget: new(20.0), BudgetDuration: "1d", ResetAt: midnight})
			due := l.AddKey(simulator.Key{Spend: 9, TotalSpend: 30, MaxBudget: new(10.0), BudgetDuration: "1d", ResetAt: midnight, TeamID: "t"})
			linked := l.AddKey(simulator.Key{Spend: 5, BudgetID: "b"})
			later := l.AddKey(simulator.Key{Spend: 9, MaxBudget: new(10.0), BudgetDuration: "7d", ResetAt: nextNight})
			for _, k := range []simulator.Key{due, linked, later} {
				l.send(k.Hash, 0.25)
			}
			l.step(10*time.Minute - time.Second)
			if got := l.spend(due.Hash); got != 9.25 {
				t.Errorf("reported %v before the job ran, want 9.25", got)
			}
			l.step(time.Second)
			row, _ := l.Key(due.Hash)
			team, _ := l.Team("t")
			if row.Spend != 0 || row.TotalSpend != 30.25 || !row.ResetAt.Equal(nextNight) {
				t.Errorf("key %v of %v, next %v", row.Spend, row.TotalSpend, row.ResetAt)
			}
			if team.Spend != 0 || !team.ResetAt.Equal(nextNight) {
				t.Errorf("team %v, next %v", team.Spend, team.ResetAt)
			}
			for _, name := range []string{keyCounter(due), keyCounter(linked), simulator.TeamCounter("t")} {
				if got := l.counter(name); got != counter {
					t.Errorf("%s: %q, want %q", name, got, counter)
				}
			}
			if l.spend(linked.Hash) != 0 || l.spend(later.Hash) != 9.25 {
				t.Errorf("linked %v, later %v", l.spend(linked.Hash), l.spend(later.Hash))
			}
		})
	}
}

// TestResetOfWindowedKeyFails: the whole batch fails, after the counters were set to 0 (#27730).
func TestResetOfWindowedKeyFails(t *testing.T) {
	server := redistest.Standalone(t)
	for release, fails := range map[string]bool{"1.84.0": true, "1.84.10": false, "1.86.2": true, "1.87.5": false} {
		l := newLab(t, server, simulator.Options{Release: release})
		l.AddKey(simulator.Key{BudgetDuration: "1h", ResetAt: start, Windows: []simulator.Window{{Duration: "1d", MaxBudget: 1, ResetAt: midnight}}})
		k := l.AddKey(simulator.Key{Spend: 9, MaxBudget: new(10.0), BudgetDuration: "1h", ResetAt: start})
		l.step(10 * time.Minute)
		row, _ := l.Key(k.Hash)
		if (row.Spend == 9) != fails || row.ResetAt.Equal(start) != fails || l.counter(keyCounter(k)) != "0.0" {
			t.Errorf("%s: spend %v, next %v, counter %q", release, row.Spend, row.ResetAt, l.counter(keyCounter(k)))
		}
	}
}

// TestLateFlushAfterReset: what was still queued at the reset comes to the row afterwards.
func TestLateFlushAfterReset(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0", ResetInterval: time.Second})
	k := l.AddKey(simulator.Key{Spend: 9, MaxBudget: new(10.0), BudgetDuration: "1d", ResetAt: start})
	l.send(k.Hash, 0.25)
	l.step(15 * time.Second)
	if l.spend(k.Hash) != 0.25 || l.counter(keyCounter(k)) != "0.0" {
		t.Errorf("reported %v, counter %q", l.spend(k.Hash), l.counter(keyCounter(k)))
	}
}

func TestResetTimes(t *testing.T) {
	server := redistest.Standalone(t)
	for duration, want := range map[string]time.Time{
		"30s": start.Add(40 * time.Second),
		"15m": start.Add(15 * time.Minute),
		"1h":  time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		"1d":  midnight,
		"7d":  time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), // a Monday
		"14d": time.Date(2026, 12, 8, 0, 0, 0, 0, time.UTC),
		"30d": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		"1mo": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		"odd": {},
	} {
		l := newLab(t, server, simulator.Options{ResetInterval: 10 * time.Second})
		k := l.AddKey(simulator.Key{BudgetDuration: duration, ResetAt: start})
		l.step(10 * time.Second)
		if row, _ := l.Key(k.Hash); !row.ResetAt.Equal(want) {
			t.Errorf("%s: %v, want %v", duration, row.ResetAt, want)
		}
	}
}
