package poller

import (
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// The bound that alerts rest on: one counter interval, one write lag, one request.
const soon = 15*time.Second + 15*time.Second + 100*time.Millisecond

func TestFalseLockIsShownWithinOneCounterIntervalOneWriteLagAndOneRequest(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		for range 5 {
			r.wait(7 * time.Second)
			r.redis.hold(counterOfKey(hash(1)), 10.607)
			took := r.until("it is falsely locked", soon, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
			if took < 15*time.Second {
				t.Errorf("accused after %v, less than one write lag", took)
			}
			r.redis.drop(counterOfKey(hash(1)))
			r.until("the lock ends with the reading that does not show it", 16*time.Second, func() bool { return r.verdict(hash(1)) == budget.OK })
			r.settle()
		}
	})
}

func TestLockIsShownInTimeWhileASweepTakesHours(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = 10 * time.Second
		for n := range 3000 {
			r.api.key(n, 1, 10)
		}
		r.api.change(hash(1), func(row *budget.Row) { row.Spend = budget.Some(3.536) })
	}, func(r *rig) {
		r.until("the key is known", 3*time.Hour, func() bool { return r.entity(hash(1)) != nil })
		r.wait(2 * time.Minute)
		r.api.mu.Lock()
		r.api.latency = time.Second
		r.api.mu.Unlock()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("it is falsely locked", soon+10*time.Second, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		if r.swept() {
			t.Error("the sweep should have been under way")
		}
	})
}

func TestConfirmationReadsTheRowAndThenTheCounter(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.options.CounterInterval, r.options.Judge.CounterInterval = 40*time.Second, 40*time.Second // nothing else is read meanwhile
		r.api.key(1, 3.536, 10)
		r.api.team("t-1", "Blue", 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.api.forgetCalls()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.redis.hold("spend:team:t-1", 10.607)
		r.until("both are falsely locked", soon+25*time.Second, func() bool {
			return r.verdict(hash(1)) == budget.FalselyLocked && r.verdict("t-1") == budget.FalselyLocked
		})
		if len(r.api.sent("key")) == 0 || len(r.api.sent("team")) == 0 {
			t.Errorf("sent %v", r.api.sent(""))
		}
		for _, id := range []string{hash(1), "t-1"} {
			if e := r.entity(id); e.Counter.ReadAt.Before(e.ReportedAt) || e.Counter.ReadAt.Sub(e.ReportedAt) > time.Second {
				t.Errorf("the pair of %s: row at %v, counter at %v", id, e.ReportedAt, e.Counter.ReadAt)
			}
		}
	})
}

func TestSuspicionThatTheSecondReadingDoesNotShowIsNoVerdict(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.wait(16 * time.Second)
		r.api.spend(hash(1), 10.607) // it was spend after all
		for range 60 {
			r.wait(time.Second)
			if v := r.verdict(hash(1)); v == budget.FalselyLocked {
				t.Fatal("a genuine exhaustion is called a false lock")
			}
		}
	})
}

func TestTheMostHarmfulSuspicionsAreConfirmedFirst(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		for n, spend := range []float64{12, 1, 1, 13} {
			r.api.key(n, spend, 10)
		}
	}, func(r *rig) {
		r.settle()
		r.api.forgetCalls()
		for n, enforced := range []float64{1, 11, 15, 1} {
			r.redis.hold(counterOfKey(hash(n)), enforced)
		}
		r.until("all were confirmed", 3*time.Minute, func() bool { return len(r.api.sent("key")) >= 4 })
		var order []string
		for _, c := range r.api.sent("key") {
			order = append(order, c.arg)
		}
		want := []string{hash(2), hash(1), hash(3), hash(0)} // locked nearest the cap first, then bypassed
		if !slices.Equal(order[:4], want) {
			t.Errorf("confirmed in the order %v, want %v", order, want)
		}
	})
}

func TestConfirmationThatFailsIsTriedAgainAndForgottenWithItsSuspicion(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.api.failing(func(endpoint, _ string) error {
			if endpoint == "key" {
				return apiError("/key/list", litellm.Timeout)
			}
			return nil
		})
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("the confirmation fails", 40*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
		r.wait(2 * time.Minute)
		if n := len(r.api.sent("key")); n < 2 || n > 20 {
			t.Errorf("tried %d times in two minutes", n)
		}
		if r.verdict(hash(1)) == budget.FalselyLocked {
			t.Error("locked although nothing confirmed it")
		}
		r.redis.hold(counterOfKey(hash(1)), 3.536)
		r.until("the source is up, for nothing is left to confirm", 2*time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
	})
}

func TestNamedEntitiesAreConfirmedByTheirOwnEndpoints(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
		r.options.Keys = []string{hash(1)}
		r.redis.hold(counterOfKey(hash(1)), 10.607)
	}, func(r *rig) {
		r.until("it is falsely locked", time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		if n := len(r.api.sent("key")) + len(r.api.sent("keys info")); n != 0 {
			t.Errorf("%d requests that need permission to list", n)
		}
	})
}

func TestSuspicionOfADeletedKeyIsForgotten(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 3.536, 10) }, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.wait(16 * time.Second)
		r.api.remove(hash(1))
		r.until("it is gone", time.Minute, func() bool { return r.count(budget.Key) == 0 })
		r.wait(30 * time.Second)
		r.api.forgetCalls()
		r.wait(2 * time.Minute)
		if n := len(r.api.sent("key")); n != 0 {
			t.Errorf("asked for %d times", n)
		}
	})
}

func TestSuspicionIsNotTakenUpAgainAtOnce(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 3.536, 10) }, func(r *rig) {
		r.settle()
		r.api.setDown(true) // so that the loop does not settle it
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("the source is down", time.Minute, func() bool { return !r.source(budget.LiteLLM).Up })
		r.wait(soon) // the counter is read, and the suspicion is due
		r.mu.Lock()
		r.sources[budget.LiteLLM].retryAt = time.Time{}
		for m := range r.suspects {
			r.suspects[m] = time.Time{}
		}
		r.mu.Unlock()
		first, _ := r.nextSuspect()
		again, next := r.nextSuspect()
		if first == nil || again != nil || time.Until(next) != confirmAgainAfter {
			t.Errorf("first %v, again %v, next in %v", first, again, time.Until(next))
		}
	})
}

func TestSuspicionThatMayNotBecomeAVerdictIsNone(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 3.536, 10) }, func(r *rig) {
		r.settle()
		r.api.failing(func(endpoint, _ string) error {
			if endpoint == "keys" {
				return apiError("/key/list", litellm.ServerError)
			}
			return nil
		})
		r.until("the sweep fails", 65*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.wait(3 * time.Minute)
		if r.verdict(hash(1)) == budget.FalselyLocked {
			t.Error("a verdict was entered while a source fails")
		}
	})
}
