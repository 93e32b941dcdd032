package poller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

func TestInventoryShowsKeysAndTeamsInTheOrderOfTheirIDs(t *testing.T) {
	run(t, func(r *rig) {
		r.api.team("t-1", "Blue", 40, 100)
		for n := range 250 {
			r.api.key(n, float64(n), 1000)
		}
		r.api.change(hash(7), func(row *budget.Row) { row.Names.TeamID = "t-1" })
	}, func(r *rig) {
		r.until("the sweep is whole", 30*time.Second, r.swept)
		s := r.Snapshot()
		if keys, teams := len(s.Entities[budget.Key]), len(s.Entities[budget.Team]); keys != 250 || teams != 1 {
			t.Fatalf("%d keys and %d teams, want 250 and 1", keys, teams)
		}
		if !slices.IsSortedFunc(s.Entities[budget.Key], func(a, b *budget.Entity) int { return strings.Compare(a.ID.Value, b.ID.Value) }) {
			t.Error("the keys are not in the order of their ids")
		}
		e := r.entity(hash(7))
		if e.Reported != budget.Some(7.0) || e.Cap.Exact() != budget.Some(1000.0) || e.Names.TeamAlias != "Blue" {
			t.Errorf("key 7: reported %v, cap %v, team alias %q", e.Reported, e.Cap, e.Names.TeamAlias)
		}
		if !s.LastFullSweep.Known || s.Fleets[budget.Key].Entities != 250 || s.Fleets[budget.Team].ReportedSum != budget.Some(40.0) {
			t.Errorf("fleets: %+v", s.Fleets)
		}
	})
}

func TestFirstSweepIsShownPageByPageAndTheFleetAfterIt(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = time.Second
		for n := range 1000 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the first page is shown", time.Minute, func() bool { return r.count(budget.Key) >= 100 })
		if n := r.count(budget.Key); n == 1000 {
			t.Error("all was shown at once")
		}
		if _, whole := r.Snapshot().Fleets[budget.Key]; whole || r.swept() {
			t.Error("the fleet is shown before it was read completely")
		}
		r.until("the sweep is whole", 10*time.Minute, r.swept)
		if f := r.Snapshot().Fleets[budget.Key]; f.Entities != 1000 {
			t.Errorf("%d entities, want 1000", f.Entities)
		}
	})
}

func TestDeletedKeyDisappearsWithTheSweepThatFindsIt(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.key(2, 2, 10)
		r.api.team("t-1", "Blue", 1, 10)
	}, func(r *rig) {
		r.until("both are shown", time.Minute, func() bool { return r.count(budget.Key) == 2 })
		r.settle()
		r.api.forgetCalls()
		r.api.remove(hash(1))
		r.api.remove("t-1")
		r.until("they are gone", 65*time.Second, func() bool { return r.count(budget.Key) == 1 && r.count(budget.Team) == 0 })
		if len(r.api.sent("key")) != 1 || len(r.api.sent("team")) != 1 {
			t.Error("they were not asked for by their ids before they were dropped")
		}
	})
}

func TestKeyThatAPagePassedOverIsAskedForAndKept(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.key(2, 2, 10)
	}, func(r *rig) {
		r.until("both are shown", time.Minute, func() bool { return r.count(budget.Key) == 2 })
		r.api.twisting(func(endpoint string, p litellm.Page) litellm.Page {
			if endpoint == "keys" { // as if one had moved to a page already read
				p.Rows, p.Received, p.Total = p.Rows[:1], 1, 1
			}
			return p
		})
		r.wait(3 * time.Minute)
		if r.count(budget.Key) != 2 || !r.source(budget.LiteLLM).Up {
			t.Errorf("%d keys, %+v", r.count(budget.Key), r.source(budget.LiteLLM))
		}
	})
}

func TestRenamesAndMovesReplaceTheNames(t *testing.T) {
	run(t, func(r *rig) {
		r.api.team("t-1", "Blue", 1, 10)
		r.api.team("t-2", "Red", 1, 10)
		r.api.key(1, 1, 10)
		r.api.key(2, 1, 10)
		for _, n := range []int{1, 2} {
			r.api.change(hash(n), func(row *budget.Row) { row.Names.TeamID = "t-1" })
		}
	}, func(r *rig) {
		r.until("the key is shown", time.Minute, func() bool { return r.verdict(hash(1)) != "not shown" })
		r.api.change("t-1", func(row *budget.Row) { row.Names.Alias = "Navy" })
		r.api.change(hash(2), func(row *budget.Row) { row.Names.TeamID, row.Names.Alias = "t-2", "moved" })
		r.wait(70 * time.Second)
		if n := r.entity(hash(1)).Names; n.TeamAlias != "Navy" {
			t.Errorf("the team's new name did not reach its key: %+v", n)
		}
		if n := r.entity(hash(2)).Names; n.TeamAlias != "Red" || n.TeamID != "t-2" || n.Alias != "moved" {
			t.Errorf("the moved key: %+v", n)
		}
	})
}

func TestSweepsLongerThanTheIntervalFollowEachOther(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = time.Second // a sweep of 30 pages takes two minutes at the ratio of 0.25
		for n := range 3000 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the first sweep is whole", time.Hour, r.swept)
		r.settle()
		pages := r.api.sent("keys")
		r.until("two more sweeps are over", 6*time.Minute, func() bool { return len(r.api.sent("keys")) >= len(pages)+60 })
		if state := r.source(budget.LiteLLM); !state.Up || time.Since(state.LastSuccess.Value) > 10*time.Second {
			t.Errorf("a sweep under way counts as success all along: %+v", state)
		}
	})
}

func TestNewKeysAreFoundDuringALongSweep(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = 2 * time.Second // a sweep of 20 pages takes 160 s at the ratio of 0.25
		for n := range 2000 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the first sweep is whole", time.Hour, r.swept)
		r.until("a later sweep is under way", 10*time.Minute, func() bool { return len(r.api.sent("keys")) > 22 })
		ids := make([]string, 150) // more than one page of them
		for n := range ids {
			ids[n] = r.api.key(10_000+n, 1, 10)
		}
		r.until("the new keys are shown", 100*time.Second, func() bool {
			return !slices.ContainsFunc(ids, func(id string) bool { return r.entity(id) == nil })
		})
		before := r.Snapshot().LastFullSweep
		r.until("the sweep is over", 10*time.Minute, func() bool { return r.Snapshot().LastFullSweep != before })
		if n := len(r.api.sent("key")); n != 0 {
			t.Errorf("%d keys were asked for singly although all were just read", n)
		}
		deepest := slices.MaxFunc(r.api.sent("newest"), func(a, b call) int { return strings.Compare(a.arg, b.arg) })
		if deepest.arg != "2" {
			t.Errorf("the newest keys were read down to page %s, want 2", deepest.arg)
		}
	})
}

func TestKeysOfACredentialThatMayNotListTeamsAreNotTheFleet(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.fail = func(endpoint, _ string) error {
			if endpoint == "teams" {
				return apiError("/v2/team/list", litellm.NotAdmin)
			}
			return nil
		}
	}, func(r *rig) {
		r.wait(10 * time.Second)
		if r.count(budget.Key) != 0 || len(r.api.sent("keys")) != 0 {
			t.Error("the keys were read although they are not the fleet")
		}
		state := r.source(budget.LiteLLM)
		if state.Up || !strings.Contains(state.Problem, "not_admin") || !strings.Contains(state.Problem, "/v2/team/list") {
			t.Errorf("the source: %+v", state)
		}
		if r.telemetry.errorsOf("litellm not_admin") != 1 {
			t.Errorf("errors: %v", r.telemetry.errors)
		}
		if !r.Ready() {
			t.Error("the first cycle was tried, so the poller is ready")
		}
	})
}

func TestKeysOnlyStillReadTheTeamsForTheirAliases(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Scopes = []budget.Scope{budget.Key}
		r.api.team("t-1", "Blue", 1, 10)
		r.api.key(1, 1, 10)
		r.api.change(hash(1), func(row *budget.Row) { row.Names.TeamID = "t-1" })
	}, func(r *rig) {
		r.until("the key is shown", time.Minute, func() bool { return r.count(budget.Key) == 1 })
		if r.entity(hash(1)).Names.TeamAlias != "Blue" || r.count(budget.Team) != 0 {
			t.Errorf("%+v", r.Snapshot().Entities)
		}
		if _, shown := r.Snapshot().Fleets[budget.Team]; shown {
			t.Error("a fleet of a scope that is not read")
		}
	})
}

func TestLinkedCapsComeFromTheBudgetTable(t *testing.T) {
	linkedTo := func(id string) func(*budget.Row) {
		return func(row *budget.Row) {
			row.MaxBudget = budget.Optional[float64]{}
			row.Link = budget.BudgetLink{State: budget.LinkTo, BudgetID: id}
		}
	}
	t.Run("read and followed", func(t *testing.T) {
		run(t, func(r *rig) {
			r.api.key(1, 1, 0)
			r.api.change(hash(1), linkedTo("b-1"))
			r.api.budgets["b-1"] = budget.LinkedBudget{ID: "b-1", MaxBudget: budget.Some(10.0)}
		}, func(r *rig) {
			r.until("the sweep is whole", time.Minute, r.swept)
			if c := r.entity(hash(1)).Cap.Exact(); c != budget.Some(10.0) {
				t.Fatalf("cap %v, want 10", c)
			}
			r.api.mu.Lock()
			r.api.budgets["b-1"] = budget.LinkedBudget{ID: "b-1", MaxBudget: budget.Some(20.0)}
			r.api.mu.Unlock()
			r.until("the edited budget is the cap", 70*time.Second, func() bool { return r.entity(hash(1)).Cap.Exact() == budget.Some(20.0) })
		})
	})
	t.Run("not asked for without a link", func(t *testing.T) {
		run(t, func(r *rig) { r.api.key(1, 1, 10) }, func(r *rig) {
			r.wait(3 * time.Minute)
			if n := len(r.api.sent("budgets")); n != 0 {
				t.Errorf("asked %d times", n)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		run(t, func(r *rig) {
			r.api.key(1, 1, 0)
			r.api.change(hash(1), linkedTo("b-1"))
			r.api.fail = func(endpoint, _ string) error {
				if endpoint == "budgets" {
					return apiError("/budget/list", litellm.Forbidden)
				}
				return nil
			}
		}, func(r *rig) {
			r.wait(5 * time.Minute)
			if !r.source(budget.LiteLLM).Up || r.entity(hash(1)).Cap.State != budget.CapUnknown {
				t.Errorf("%+v, cap %+v", r.source(budget.LiteLLM), r.entity(hash(1)).Cap)
			}
			if f := r.Snapshot().Fleets[budget.Key]; f.CapUnknown != 1 {
				t.Errorf("%d caps unknown, want 1", f.CapUnknown)
			}
			if n := len(r.api.sent("budgets")); n != 1 || r.telemetry.errorsOf("litellm forbidden") != 1 {
				t.Errorf("asked %d times, counted %d; want 1 each", n, r.telemetry.errorsOf("litellm forbidden"))
			}
			if !strings.Contains(r.log.String(), "/budget/list") {
				t.Errorf("the log does not say what is refused: %s", r.log)
			}
		})
	})
}

func TestLinksThatTheListDoesNotTellAreReadInBatches(t *testing.T) {
	run(t, func(r *rig) {
		r.api.hidesLinks = true
		for n := range 150 {
			r.api.key(n, 1, 10)
			r.api.change(hash(n), func(row *budget.Row) {
				row.MaxBudget = budget.Optional[float64]{}
				row.Link = budget.BudgetLink{State: budget.LinkTo, BudgetID: "b-1",
					Budget: budget.Some(budget.LinkedBudget{ID: "b-1", MaxBudget: budget.Some(10.0)})}
			})
		}
		// Two that no fingerprint tells apart.
		r.api.change(hash(1), func(row *budget.Row) { row.CreatedAt = budget.Some(created) })
		r.api.change(hash(0), func(row *budget.Row) { row.CreatedAt = budget.Some(created) })
	}, func(r *rig) {
		r.until("the sweep is whole", time.Minute, r.swept)
		for n := range 150 {
			if c := r.entity(hash(n)).Cap.Exact(); c != budget.Some(10.0) {
				t.Fatalf("key %d: cap %v, want 10", n, c)
			}
		}
		if n := len(r.api.sent("keys info")); n > 3 {
			t.Errorf("%d batches for 2 pages and the newest", n)
		}
		// A single reading of the row does not lose the link.
		r.redis.hold(counterOfKey(hash(5)), 50)
		r.until("the key is read singly", 2*time.Minute, func() bool {
			return slices.ContainsFunc(r.api.sent("key"), func(c call) bool { return c.arg == hash(5) })
		})
		r.wait(20 * time.Millisecond)
		if c := r.entity(hash(5)).Cap.Exact(); c != budget.Some(10.0) {
			t.Errorf("cap %v after a single reading, want 10", c)
		}
	})
}

func TestNamedEntitiesAreReadByTheirOwnEndpoints(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.key(2, 2, 10)
		r.api.team("t-1", "Blue", 3, 10)
		r.options.Keys, r.options.Teams = []string{hash(1), hash(99)}, []string{"t-1"}
	}, func(r *rig) {
		r.until("they are shown", time.Minute, func() bool { return r.count(budget.Key) == 1 && r.count(budget.Team) == 1 })
		r.api.spend(hash(1), 4)
		r.until("a change is followed", 70*time.Second, func() bool { return r.entity(hash(1)).Reported == budget.Some(4.0) })
		for _, c := range r.api.sent("") {
			if !slices.Contains([]string{"release", "key info", "team info"}, c.endpoint) {
				t.Errorf("sent %s, which needs permission to list", c.endpoint)
			}
		}
		r.settle()
		r.settle()
		if n := strings.Count(r.log.String(), hash(99)); n != 1 {
			t.Errorf("the unknown key is logged %d times, want once", n)
		}
		if !r.source(budget.LiteLLM).Up || r.Snapshot().Fleets[budget.Key].Entities != 1 {
			t.Errorf("%+v", r.source(budget.LiteLLM))
		}
		r.api.remove(hash(1))
		r.until("the deleted one is gone", 70*time.Second, func() bool { return r.count(budget.Key) == 0 })
	})
}

func TestNamedKeysWithWindowsAreReadOnlyWhenTheirCounterMoved(t *testing.T) {
	run(t, func(r *rig) {
		r.api.version = "1.101.6"
		r.api.key(1, 1, 10)
		r.api.change(hash(1), func(row *budget.Row) {
			row.Windows = []budget.Window{{Duration: "1d", MaxBudget: budget.Some(2.0)}}
		})
		r.options.Keys = []string{hash(1)}
	}, func(r *rig) {
		r.until("it is shown", time.Minute, func() bool { return r.count(budget.Key) == 1 })
		r.settle()
		r.api.forgetCalls()
		r.wait(10 * time.Minute)
		if n := len(r.api.sent("key info")); n != 0 {
			t.Fatalf("read %d times while nothing moved", n)
		}
		r.redis.hold(counterOfKey(hash(1)), 1.5)
		r.until("the counter moved and it is read", 20*time.Second, func() bool { return len(r.api.sent("key info")) > 0 })
		r.redis.drop(counterOfKey(hash(1)))
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 12)
		r.until("it is falsely locked", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		r.settle()
		r.api.forgetCalls()
		r.wait(5 * time.Minute)
		if n := len(r.api.sent("key info")); n != 0 {
			t.Errorf("read %d times while it is locked and does not move", n)
		}
	})
}

func TestNamedKeysWithWindowsAreNotShownWhereNothingTellsThatTheyMoved(t *testing.T) {
	for version, shown := range map[string]bool{"1.84.0": true, "1.101.6": false} {
		t.Run(version, func(t *testing.T) {
			run(t, func(r *rig) {
				r.api.version = version
				r.api.key(1, 1, 10)
				r.api.change(hash(1), func(row *budget.Row) { row.Windows = []budget.Window{{Duration: "1d"}} })
				r.options.Keys, r.options.Counters = []string{hash(1)}, nil
			}, func(r *rig) {
				r.wait(10 * time.Minute)
				if got := r.entity(hash(1)) != nil; got != shown {
					t.Errorf("shown: %v, want %v", got, shown)
				}
				if n := len(r.api.sent("key info")); (n > 1) != shown {
					t.Errorf("read %d times", n)
				}
				if n := strings.Count(r.log.String(), "time windows"); (n == 1) == shown {
					t.Errorf("the log says so %d times", n)
				}
			})
		})
	}
}

func TestKeysWithACapOfTheirOwnNeedNoLink(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Counters = nil
		r.api.hidesLinks = true
		r.api.key(1, 1, 10)
	}, func(r *rig) {
		r.settle()
		if n := len(r.api.sent("keys info")); n != 0 || r.entity(hash(1)).Cap.Exact() != budget.Some(10.0) {
			t.Errorf("asked %d times, cap %+v", n, r.entity(hash(1)).Cap)
		}
	})
}

// slowSweep makes a sweep of the keys take 20 minutes: 30 pages of 10 s at the ratio of 0.25.
func slowSweep(r *rig) {
	r.api.latency = 10 * time.Second
	for n := range 3000 {
		r.api.key(n, 1, 10)
	}
}

func TestWhatIsDueEveryIntervalIsDoneDuringALongFirstSweep(t *testing.T) {
	run(t, func(r *rig) {
		slowSweep(r)
		r.options.Counters = nil
		r.api.change(hash(2999), func(row *budget.Row) { // among the newest, so read at the beginning
			row.TempIncrease = budget.TemporaryIncrease{USD: 5, ExpiresAt: time.Now().Add(10 * time.Minute)}
		})
	}, func(r *rig) {
		r.wait(5 * time.Minute)
		if !r.source(budget.LiteLLM).Up || !r.Ready() {
			t.Errorf("a sweep under way is no success: %+v", r.source(budget.LiteLLM))
		}
		made := r.api.key(10_000, 1, 10)
		r.setVersion("1.83.14")
		r.until("the new key is shown and the release told", 4*time.Minute, func() bool {
			return r.entity(made) != nil && r.release().Version == "1.83.14"
		})
		if c := r.entity(hash(2999)).Cap.Exact(); c != budget.Some(15.0) {
			t.Errorf("cap %v, want 15", c)
		}
		r.until("the temporary increase ends", 5*time.Minute, func() bool { return r.entity(hash(2999)).Cap.Exact() == budget.Some(10.0) })
		if r.swept() {
			t.Error("the sweep was to take longer")
		}
	})
}

func TestSourceIsUpAgainWhenALongSweepGoesOn(t *testing.T) {
	run(t, slowSweep, func(r *rig) {
		r.wait(10 * time.Minute)
		r.api.setDown(true)
		r.until("the source is down", 2*time.Minute, func() bool { return !r.source(budget.LiteLLM).Up })
		r.api.setDown(false)
		r.until("it is up again", 5*time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
		if r.swept() {
			t.Error("the sweep was to take longer")
		}
	})
}
