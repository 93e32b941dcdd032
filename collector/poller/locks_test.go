package poller

import (
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/refusals"
)

func TestALockIsAskedFor(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.Auto
		r.api.key(1, 3.536, 10)
		r.api.team("t-1", "Blue", 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.redis.hold("spend:team:t-1", 10.607)
		for range 15 { // all of it is in the log when it is asked for, a write lag after the locks
			r.api.refusesKey(hash(1), 10.607)
			r.wait(time.Second)
			r.api.refuses(refusals.Refusal{Scope: budget.Team, ID: "t-1", Key: hash(1), Own: true, Enforced: budget.Some(10.607), Cap: budget.Some(10.0)})
		}
		r.until("both are locked", soon, func() bool {
			return r.verdict(hash(1)) == budget.FalselyLocked && r.verdict("t-1") == budget.FalselyLocked
		})
		r.wait(5 * time.Minute)
		asked := map[string]int{}
		for _, c := range r.api.sent("failures of") {
			asked[c.arg]++
		}
		for _, id := range []string{hash(1), "t-1"} {
			if n := asked[id]; n < 4 || n > 6 || len(asked) != 2 {
				t.Errorf("in five minutes asked for %v, want it once in each of them", asked)
			}
		}
		if len(r.api.sent("failures")) != 0 || r.Snapshot().Refusals != nil {
			t.Error("with a Redis the whole log was read")
		}
		team := r.Refusals(budget.ID{Scope: budget.Team, Value: "t-1"})
		if len(team) != 1 || team[0].Enforced != budget.Some(10.607) || team[0].Cap != budget.Some(10.0) {
			t.Errorf("of the team: %+v", team)
		}
		key := r.Refusals(budget.ID{Scope: budget.Key, Value: hash(1)})
		if len(key) != 2 || !key[0].At.After(key[1].At) {
			t.Fatalf("of the key, by itself and by its team, the newest first: %+v", key)
		}
		last := slices.MaxFunc(r.api.refused, func(a, b refusals.Refusal) int { return a.At.Compare(b.At) })
		if !key[0].At.Equal(last.At) {
			t.Errorf("the newest is of %v, want %v", key[0].At, last.At)
		}
		key[0] = refusals.Refusal{}
		if r.Refusals(budget.ID{Scope: budget.Key, Value: hash(1)})[0] == key[0] {
			t.Error("who is told can change what is kept")
		}

		r.redis.drop(counterOfKey(hash(1)))
		r.until("the lock ends", 16*time.Second, func() bool { return r.verdict(hash(1)) == budget.OK })
		r.api.forgetCalls()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("it is asked for the next lock", 2*time.Minute, func() bool { return len(r.api.sent("failures of")) == 1 })

		r.wait(25 * time.Hour)
		if old := r.Refusals(budget.ID{Scope: budget.Team, Value: "t-1"}); len(old) != 0 {
			t.Errorf("kept for more than a day: %+v", old)
		}
	})
}

func TestALockThatHasEndedIsNotAskedFor(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.Auto
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("it is locked", soon, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		r.redis.drop(counterOfKey(hash(1)))
		r.wait(5 * time.Minute)
		if n := len(r.api.sent("failures of")); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestNoMoreThanAHundredLocksAreAskedForAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.Auto
		for n := range 120 {
			r.api.key(n, 3.536, 10)
		}
	}, func(r *rig) {
		r.settle()
		for n := range 120 {
			r.redis.hold(counterOfKey(hash(n)), 10.607)
		}
		r.until("all are locked", 5*time.Minute, func() bool { return r.Snapshot().Fleets[budget.Key].FalselyLocked == budget.Some(120) })
		r.wait(time.Minute)
		r.api.forgetCalls()
		const long = 30 * time.Minute
		r.wait(long)
		asked := map[string]int{}
		for _, c := range r.api.sent("failures of") {
			asked[c.arg]++
		}
		if len(asked) != mostLocks {
			t.Errorf("asked for %d, want %d", len(asked), mostLocks)
		}
		for id, n := range asked {
			if each := int(long / (mostLocks * lockPace)); n < each-1 || n > each+1 {
				t.Errorf("asked %d times for %s in %v, want about %d", n, id, long, each)
			}
		}
		for id := range asked {
			r.redis.drop(counterOfKey(id))
			break
		}
		r.api.forgetCalls()
		r.until("another one takes the place of one that is mended", 2*time.Minute, func() bool {
			return slices.ContainsFunc(r.api.sent("failures of"), func(c call) bool { return asked[c.arg] == 0 })
		})
	})
}

// TestLocksThatEndLeaveNoQueue has locks take turns to be asked for again, and end before they come.
func TestLocksThatEndLeaveNoQueue(t *testing.T) {
	run(t, func(r *rig) { r.options.Refusals = refusals.Auto }, func(r *rig) {
		now := time.Now()
		for range 10 * mostLocks {
			r.askAgainAt(now)
		}
		if wait := r.askAgainAt(now).Sub(now); wait > mostLocks*lockPace {
			t.Errorf("the next one waits for %v", wait)
		}
	})
}

// TestALockIsAskedForUntilItEnds has a client that is refused every ten seconds, for an hour.
func TestALockIsAskedForUntilItEnds(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.Auto
		r.api.key(1, 3.536, 10)
		r.api.key(2, 3.536, 10)
	}, func(r *rig) {
		locked := budget.ID{Scope: budget.Key, Value: hash(1)}
		r.settle()
		if at := r.RefusalsReadAt(locked); at.Known {
			t.Errorf("the log was read at %v, and nobody is locked", at.Value)
		}
		began := time.Now()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		told := false
		for n := range 360 {
			r.api.refusesKey(hash(1), 10.607)
			r.wait(10 * time.Second)
			if n < 18 {
				continue
			}
			known := r.Refusals(locked)
			if len(known) != 1 {
				t.Fatalf("after %v: %+v", time.Since(began), known)
			}
			// It is asked every minute, and LiteLLM logs what it refused with a delay.
			if age := time.Since(known[0].At); age > time.Minute+2*flush+time.Second {
				t.Fatalf("after %v the newest that is known is %v old", time.Since(began), age)
			}
			if at := r.RefusalsReadAt(locked); !at.Known || time.Since(at.Value) > time.Minute+time.Second || at.Value.Before(known[0].At) {
				t.Fatalf("after %v the log was read at %v, the newest in it is of %v", time.Since(began), at, known[0].At)
			}
			if told && !known[0].FalseAt.Known {
				t.Fatal("that it refused falsely was told, and is forgotten")
			}
			told = known[0].FalseAt.Known
			if told && known[0].FalseAt.Value.Before(began) {
				t.Fatalf("false at %v, locked at %v", known[0].FalseAt.Value, began)
			}
		}
		if last := r.Refusals(locked)[0]; !told || time.Since(last.FalseAt.Value) > 4*time.Minute {
			t.Errorf("that refusals go on being false is not told: %+v", last)
		}
		if r.RefusalsReadAt(budget.ID{Scope: budget.Key, Value: hash(2)}).Known || r.Snapshot().Refusals != nil {
			t.Error("more was read than what was refused of the one that is locked")
		}
		r.redis.drop(counterOfKey(hash(1)))
		r.until("the lock ends", 16*time.Second, func() bool { return r.verdict(hash(1)) == budget.OK })
		r.api.forgetCalls()
		r.wait(time.Hour)
		if n := len(r.api.sent("failures of")); n != 0 {
			t.Errorf("asked %d times after its end", n)
		}
		if !r.RefusalsReadAt(locked).Known {
			t.Error("what is known of it no longer says when it was read")
		}
		r.wait(24 * time.Hour)
		if r.RefusalsReadAt(locked).Known {
			t.Error("it is remembered for ever")
		}
	})
}

// TestRefusalsOfALockThatWereRight has a key refused at what it had spent, before it was given more and locked falsely.
func TestRefusalsOfALockThatWereRight(t *testing.T) {
	for name, between := range map[string]func(r *rig){
		"a reset": func(r *rig) { r.api.spend(hash(1), 3.536) },
		"spend that reached the cap": func(r *rig) {
			r.api.change(hash(1), func(row *budget.Row) { row.Spend, row.MaxBudget = budget.Some(10.1), budget.Some(100.0) })
			r.redis.hold(counterOfKey(hash(1)), 110)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.options.Refusals = refusals.Auto
				r.api.key(1, 10, 10)
			}, func(r *rig) {
				r.settle()
				r.redis.hold(counterOfKey(hash(1)), 10.1)
				r.wait(time.Minute)
				r.api.refusesKey(hash(1), 10.1)
				r.wait(5 * time.Second)
				between(r)
				r.until("it is locked", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
				r.wait(5 * time.Minute)
				known := r.Refusals(budget.ID{Scope: budget.Key, Value: hash(1)})
				if len(known) != 1 || known[0].FalseAt.Known {
					t.Errorf("got %+v, want the one that was right", known)
				}
			})
		})
	}
}

// Where all are read, those of a lock are counted among them, whoever reads them first.
func TestRefusalsOfALockAreCountedWhereAllAreRead(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.On
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		for range 30 {
			r.api.refusesKey(hash(1), 10.607)
			r.wait(2 * time.Second)
		}
		if got := r.counted(30); got != (budget.RefusalCounts{BelowCap: 30}) {
			t.Errorf("counted %+v", got)
		}
	})
}

// A refusal in unknown words is counted with a Redis as well, once, though it is read again and again, and of two.
func TestWordsThatAreNotKnownAreCounted(t *testing.T) {
	for name, mode := range map[string]refusals.Mode{"of those that are locked": refusals.Auto, "all": refusals.On} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.options.Refusals = mode
				r.api.key(1, 3.536, 10)
				r.api.team("t-1", "Blue", 3.536, 10)
			}, func(r *rig) {
				r.settle()
				r.wait(time.Minute)
				if n := r.Snapshot().UnnamedRefusals; n != budget.Some[uint64](0) {
					t.Errorf("before there was one: %v", n)
				}
				r.redis.hold(counterOfKey(hash(1)), 10.607)
				r.redis.hold("spend:team:t-1", 10.607)
				for range 10 {
					r.api.refuses(refusals.Refusal{Key: hash(1), ID: "t-1"})
					r.wait(30 * time.Second)
				}
				r.wait(3 * time.Minute)
				if n := r.Snapshot().UnnamedRefusals; n != budget.Some[uint64](10) {
					t.Errorf("counted %v, want 10", n)
				}
				if c := r.observed(budget.Key); c != (budget.RefusalCounts{}) {
					t.Errorf("as a key's: %+v", c)
				}
			})
		})
	}
}
