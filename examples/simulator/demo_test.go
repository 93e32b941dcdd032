package simulator_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// newDemo is a demo on a manual clock.
func newDemo(t *testing.T, rdb *redis.Client, seed uint64) lab {
	t.Helper()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s, err := simulator.NewDemo(t.Context(), simulator.Options{Redis: rdb, Seed: seed, Clock: simulator.NewManualClock(start)})
	if err != nil {
		t.Fatal(err)
	}
	return lab{s, t, rdb}
}

// inBothRedises runs a test against a real Redis and the one that the demo has.
func inBothRedises(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	t.Run("redis-server", func(t *testing.T) { test(t, redistest.Standalone(t).Client(t)) })
	t.Run("miniredis", func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		test(t, rdb)
	})
}

func TestIncidentsAreThereWheneverOneLooks(t *testing.T) {
	inBothRedises(t, func(t *testing.T, rdb *redis.Client) {
		t.Helper()
		l := newDemo(t, rdb, 1)
		locked, cold, unlimited := simulator.DemoKey(simulator.FalselyLockedAlias), simulator.DemoKey(simulator.ColdAlias), simulator.DemoKey(simulator.NoBudgetAlias)
		look := func(after time.Duration) {
			if reported, enforced := l.spend(locked), l.usd(simulator.KeyCounter(locked)); reported != 3.536 || enforced != 10.607 {
				t.Fatalf("%v: locked key: reported %v, enforced %v", after, reported, enforced)
			}
			if refusal := l.send(locked, 0.0005); refusal == nil {
				t.Fatalf("%v: the locked key was admitted", after)
			}
			team, _ := l.Team(simulator.BypassedTeamID)
			if counter := l.usd(simulator.TeamCounter(simulator.BypassedTeamID)); team.Spend < 17 || *team.MaxBudget != 10 || counter < 6 || counter > 7.1 {
				t.Fatalf("%v: bypassed team: reported %v, counter %v", after, team.Spend, counter)
			}
			if refusal := l.send(simulator.DemoKey(simulator.BypassedAlias), 0.0001); refusal != nil {
				t.Fatalf("%v: the bypassed team was refused: %v", after, refusal)
			}
			if counter := l.counter(simulator.KeyCounter(cold)); counter != "" || l.spend(cold) != 4.2 {
				t.Fatalf("%v: cold key: reported %v, counter %q", after, l.spend(cold), counter)
			}
			if k, _ := l.Key(unlimited); k.MaxBudget != nil || k.Spend < 212.4 || after > 0 && l.usd(simulator.KeyCounter(unlimited)) < k.Spend-1e-6 {
				t.Fatalf("%v: key without a budget: %v of %v", after, k.Spend, k.MaxBudget)
			}
		}
		look(0)
		for after := 4 * time.Minute; after < 20*time.Minute; after += 4 * time.Minute {
			l.step(4 * time.Minute)
			look(after)
		}
		// What so little traffic does not do: the team's counter comes near its cap, and the locked key's is deleted.
		l.SetCounter(t.Context(), simulator.TeamCounter(simulator.BypassedTeamID), "9.9", time.Minute)
		l.DeleteCounter(t.Context(), simulator.KeyCounter(locked))
		l.step(15 * time.Second)
		look(time.Hour)
	})
}

// TestRestOfTheDemoIsWell: nobody but the incidents diverges.
func TestRestOfTheDemoIsWell(t *testing.T) {
	inBothRedises(t, func(t *testing.T, rdb *redis.Client) {
		t.Helper()
		l := newDemo(t, rdb, 2)
		keys := l.aliases("size=100")
		if len(keys) != 30 {
			t.Errorf("%d keys", len(keys))
		}
		for range 6 {
			l.step(2 * time.Minute)
			for name, value := range l.values() {
				hash, isKey := strings.CutPrefix(name, "spend:key:")
				if !isKey || strings.Contains(hash, ":") || hash == simulator.DemoKey(simulator.FalselyLockedAlias) {
					continue
				}
				// In flight and not yet flushed: at most some requests of at most two cents.
				if d := l.usd(name) - l.spend(hash); d < -1e-9 || d > 0.2 {
					k, _ := l.Key(hash)
					t.Errorf("%s: reported %v, counter %s", k.Alias, k.Spend, value)
				}
			}
		}
	})
}

func TestHeal(t *testing.T) {
	l := newDemo(t, redistest.Standalone(t).Client(t), 3)
	l.step(time.Minute)
	for _, i := range []simulator.Incident{simulator.FalselyLocked, simulator.Bypassed, simulator.Cold, simulator.NoBudget} {
		l.Heal(t.Context(), i)
	}
	l.step(10 * time.Minute)
	locked := simulator.DemoKey(simulator.FalselyLockedAlias)
	if refusal := l.send(locked, 0.0005); refusal != nil {
		t.Errorf("locked key: %v", refusal)
	}
	if d := l.usd(simulator.KeyCounter(locked)) - l.spend(locked); d < 0 || d > 0.01 {
		t.Errorf("locked key still %v apart", d)
	}
	if l.send(simulator.DemoKey(simulator.BypassedAlias), 0.0001) == nil {
		t.Error("bypassed team: admitted")
	}
	if l.counter(simulator.KeyCounter(simulator.DemoKey(simulator.ColdAlias))) == "" {
		t.Error("cold key: no counter")
	}
	if k, _ := l.Key(simulator.DemoKey(simulator.NoBudgetAlias)); k.MaxBudget == nil {
		t.Error("key without a budget: still none")
	}
}

func TestDemoNeedsAdditiveSeeds(t *testing.T) {
	rdb := redistest.Standalone(t).Client(t)
	_, err := simulator.NewDemo(t.Context(), simulator.Options{Redis: rdb, Release: "1.87.5", Clock: simulator.NewManualClock(start)})
	if err == nil || !strings.Contains(err.Error(), "1.87.5") {
		t.Errorf("error %v", err)
	}
}

// TestSameSeedSameNumbers: on a manual clock nothing is left to chance.
func TestSameSeedSameNumbers(t *testing.T) {
	rdb := redistest.Standalone(t).Client(t)
	type numbers struct {
		Counters map[string]string
		Keys     map[string]float64
	}
	run := func(seed uint64, steps ...time.Duration) numbers {
		l := newDemo(t, rdb, seed)
		for _, d := range steps {
			l.step(d)
		}
		n := numbers{l.values(), map[string]float64{}}
		for name := range maps.Keys(n.Counters) {
			if hash, isKey := strings.CutPrefix(name, "spend:key:"); isKey && !strings.Contains(hash, ":") {
				n.Keys[hash] = l.spend(hash)
			}
		}
		return n
	}
	once, again := run(7, 10*time.Minute), run(7, slices.Repeat([]time.Duration{10 * time.Second}, 60)...)
	if !reflect.DeepEqual(once, again) {
		t.Errorf("one step of ten minutes and 60 of ten seconds differ:\n%v\n%v", once, again)
	}
	if other := run(8, 10*time.Minute); reflect.DeepEqual(once, other) {
		t.Error("another seed makes no difference")
	}
}
