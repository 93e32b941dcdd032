package poller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// longInventory leaves the rows to what the counters say.
func longInventory(r *rig) {
	r.options.Inventory = 10 * time.Hour
	r.options.StalenessLiteLLM = 10 * time.Hour
}

func TestRowsThatMovedAreReadInBatches(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		for n := range 300 {
			r.api.key(n, 1, 1000)
		}
	}, func(r *rig) {
		r.settle()
		r.api.forgetCalls()
		for n := range 250 {
			r.redis.hold(counterOfKey(hash(n)), 1.5)
		}
		r.until("the counters are read", 16*time.Second, func() bool { return r.entity(hash(1)).Counter.Value == 1.5 })
		for n := range 250 {
			r.api.spend(hash(n), 1.5) // LiteLLM writes
		}
		r.until("the rows are read", 35*time.Second, func() bool {
			for n := range 250 {
				if r.entity(hash(n)).Reported != budget.Some(1.5) {
					return false
				}
			}
			return true
		})
		r.wait(time.Minute)
		if n := len(r.api.sent("")); n > 9 || n != len(r.api.sent("keys info")) {
			t.Errorf("%d requests, %d of them batches, for 250 rows within one write lag", n, len(r.api.sent("keys info")))
		}
		r.api.forgetCalls()
		r.wait(5 * time.Minute)
		if n := len(r.api.sent("")); n != 0 {
			t.Errorf("%d requests while no counter moves", n)
		}
	})
}

func TestRowsWithWindowsAreReadSinglyWhereABatchCouldRaiseThem(t *testing.T) {
	for version, endpoint := range map[string]string{"1.84.0": "keys info", "1.101.6": "key"} {
		t.Run(version, func(t *testing.T) {
			run(t, func(r *rig) {
				longInventory(r)
				r.api.version = version
				r.api.key(1, 1, 1000)
				r.api.change(hash(1), func(row *budget.Row) { row.Windows = []budget.Window{{Duration: "1d"}} })
			}, func(r *rig) {
				r.settle()
				r.api.forgetCalls()
				r.redis.hold(counterOfKey(hash(1)), 1.5)
				r.until("the row is read", 30*time.Second, func() bool { return len(r.api.sent(endpoint)) > 0 })
				if all := r.api.sent(""); len(all) != len(r.api.sent(endpoint)) {
					t.Errorf("sent %v, want only %q", all, endpoint)
				}
			})
		})
	}
}

func TestRowsThatABatchLeavesOpenAreReadSingly(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		for n := range 3 {
			r.api.key(n, 1, 1000)
		}
		for n := range 2 { // nothing tells these two apart
			r.api.change(hash(n), func(row *budget.Row) { row.CreatedAt = budget.Some(created) })
		}
	}, func(r *rig) {
		r.settle()
		r.api.forgetCalls()
		for n := range 3 {
			r.redis.hold(counterOfKey(hash(n)), 1.5)
		}
		r.until("the rows are read", 30*time.Second, func() bool { return len(r.api.sent("key")) >= 2 })
		for _, c := range r.api.sent("key") {
			if c.arg == hash(2) {
				t.Error("a row that the batch told was read singly as well")
			}
		}
	})
}

func TestRegeneratedKeyLeadsToASweepAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.key(1, 1, 1000)
		r.api.key(2, 1, 1000)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 1.5)
		r.api.mu.Lock()
		clear(r.api.orders)
		row := r.api.keys[hash(1)]
		delete(r.api.keys, hash(1))
		row.ID.Value = hash(77)
		r.api.keys[hash(77)] = row
		r.api.mu.Unlock()
		r.until("the new hash replaces the old", 20*time.Second, func() bool {
			return r.entity(hash(77)) != nil && r.entity(hash(1)) == nil
		})
	})
}

func TestTeamsThatMovedAreReadSinglyOrByPages(t *testing.T) {
	setup := func(r *rig) {
		longInventory(r)
		for n := range 150 { // two pages
			r.api.team(fmt.Sprint("t-", n), "Blue", 1, 1000)
		}
	}
	move := func(r *rig, n int) {
		r.settle()
		r.api.forgetCalls()
		for n := range n {
			r.redis.hold(fmt.Sprint("spend:team:t-", n), 1.5)
			r.api.spend(fmt.Sprint("t-", n), 1.5)
		}
		r.until("the rows are read", 30*time.Second, func() bool { return r.entity("t-0").Reported == budget.Some(1.5) })
	}
	t.Run("singly", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			move(r, 2)
			if len(r.api.sent("teams")) != 0 || len(r.api.sent("team")) == 0 {
				t.Errorf("sent %v", r.api.sent(""))
			}
		})
	})
	t.Run("by pages", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			move(r, 3)
			if len(r.api.sent("teams")) == 0 || len(r.api.sent("team")) != 0 {
				t.Errorf("sent %v", r.api.sent(""))
			}
		})
	})
}

func TestWatchedRowsAreReadEveryCounterInterval(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.key(1, 3.536, 10)
		r.redis.hold(counterOfKey(hash(1)), 10.607)
	}, func(r *rig) {
		r.until("it is falsely locked", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		r.settle()
		r.api.change(hash(1), func(row *budget.Row) { row.MaxBudget = budget.Some(100.0) })
		took := r.until("the operator's mend ends it", 17*time.Second, func() bool { return r.verdict(hash(1)) != budget.FalselyLocked })
		t.Logf("it took %v", took)
	})
}

func TestRowsFailWithANamedReason(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.key(1, 1, 1000)
	}, func(r *rig) {
		r.settle()
		r.api.failing(func(endpoint, _ string) error {
			if endpoint == "keys info" {
				return apiError("/v2/key/info", litellm.Forbidden)
			}
			return nil
		})
		r.redis.hold(counterOfKey(hash(1)), 1.5)
		r.until("the source is down", 20*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
		if p := r.source(budget.LiteLLM).Problem; !strings.Contains(p, "/v2/key/info") {
			t.Errorf("the problem is %q", p)
		}
		r.api.failing(nil)
		r.until("it is up again", 2*time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
		if !slices.ContainsFunc(strings.Split(r.log.String(), "\n"), func(l string) bool { return strings.Contains(l, "read again") }) {
			t.Errorf("the log does not tell: %s", r.log)
		}
	})
}

func TestRowsThatNobodyNeedsAnyMoreDoNotKeepTheSourceDown(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 1, 1000) }, func(r *rig) {
		r.settle()
		r.api.failing(func(endpoint, _ string) error {
			if endpoint == "keys info" {
				return apiError("/v2/key/info", litellm.Timeout)
			}
			return nil
		})
		r.redis.hold(counterOfKey(hash(1)), 1.5)
		r.until("the source is down", 20*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
		r.api.spend(hash(1), 1.5)
		r.until("the sweep has read the row", 3*time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
	})
}
