package poller

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

func TestLookup(t *testing.T) {
	fleet := func(r *rig) {
		for n := range 6 {
			r.api.key(n, 1, 10)
		}
		for n, alias := range map[int]string{1: "twin", 2: "Twin 2", 3: "twin", 4: "blue", 5: "twin"} {
			r.api.change(hash(n), func(row *budget.Row) { row.Names.Alias = alias })
		}
		r.api.team("blue", "Sky", 1, 10)
		r.api.team("team-2", "twin", 1, 10)
		r.api.team("team-3", "twins", 1, 10)
	}
	twins := []string{hash(1), hash(3), hash(5)} // more than a page of them
	slices.Sort(twins)
	for name, c := range map[string]struct {
		name  string
		setup func(*rig)
		want  []string
	}{
		"a hash":                           {hash(0), fleet, []string{hash(0)}},
		"the id of a team":                 {"team-3", fleet, []string{"team-3"}},
		"an alias that is an id elsewhere": {"blue", fleet, []string{"blue"}},
		"the alias of a team":              {"Sky", fleet, []string{"blue"}},
		"an alias of several":              {"twin", fleet, append(slices.Clone(twins), "team-2")},
		"an alias of keys only":            {"twin", func(r *rig) { fleet(r); r.options.Scopes = []budget.Scope{budget.Key} }, twins},
		"part of an alias":                 {"win", fleet, nil},
		"an unknown hash":                  {hash(99), fleet, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.setup)
				rows, err := r.Lookup(t.Context(), c.name)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, row := range rows {
					got = append(got, row.ID.Value)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
	t.Run("LiteLLM refuses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, fleet)
			r.api.failing(func(endpoint, _ string) error { return apiError(endpoint, litellm.Unauthorized) })
			_, err := r.Lookup(t.Context(), hash(0))
			if e, ok := errors.AsType[*litellm.Error](err); !ok || e.Reason != litellm.Unauthorized {
				t.Errorf("%v", err)
			}
		})
	})
}

// TestOnlyOneEntityIsRead has one key of many be all that is read: its team, its counters and its linked budget with
// it, nobody else, and by requests that change nothing in any release.
func TestOnlyOneEntityIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.api.version = "1.101.6" // /key/info raises windows
			r.api.hidesLinks = true
			for n := range 5 {
				r.api.key(n, 1, 10)
			}
			r.api.team("team-1", "Blue", 3.536, 100)
			r.api.team("team-2", "Red", 1, 100)
			r.api.change(hash(1), func(row *budget.Row) {
				row.Names.TeamID = "team-1"
				row.Spend = budget.Some(3.536)
				row.Windows = []budget.Window{{Duration: "1d", MaxBudget: budget.Some(5.0)}}
			})
			r.redis.hold(counterOfKey(hash(1)), 10.607)
			r.options.Refusals = refusals.Auto
		})
		rows, err := r.Lookup(t.Context(), hash(1))
		if err != nil || len(rows) != 1 {
			t.Fatalf("%v, %v", rows, err)
		}
		r.Only(rows[0])
		r.api.refusesKey(hash(1), 10.607)
		stop := r.start()
		defer stop()
		r.until("the key is judged", 20*time.Second, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		if s, _ := r.Standing(rows[0].ID); !s.Asking {
			t.Error("it is not told that the log of what was refused is asked for")
		}
		r.until("what was refused is known", time.Second, func() bool { return len(r.Refusals(rows[0].ID)) == 1 })
		if s, _ := r.Standing(rows[0].ID); s.Asking {
			t.Error("it is told as asked for, and has been read")
		}
		if e := r.entity(hash(1)); e.Names.TeamAlias != "Blue" {
			t.Errorf("the alias of its team is %q", e.Names.TeamAlias)
		}
		if keys, teams := r.count(budget.Key), r.count(budget.Team); keys != 1 || teams != 1 {
			t.Errorf("%d keys and %d teams are read, want one of each", keys, teams)
		}
		if !r.Progress().Whole {
			t.Error("it is never read whole")
		}
		if causes := r.Snapshot().FleetCauses; causes != nil {
			t.Errorf("two entities are taken for a fleet: %v", causes)
		}
		for _, c := range r.api.sent("") {
			if !slices.Contains([]string{"release", "key", "team", "failures of"}, c.endpoint) {
				t.Errorf("LiteLLM was asked for %s", c.endpoint)
			}
		}
	})
}

func TestOnlyOneEntityIsReadWithItsLinkedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.api.hidesLinks = true
			r.api.key(1, 1, 0)
			r.api.change(hash(1), func(row *budget.Row) {
				row.MaxBudget, row.Link = budget.Optional[float64]{}, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b"}
			})
			r.api.budgets["b"] = budget.LinkedBudget{MaxBudget: budget.Some(7.0)}
		})
		rows, err := r.Lookup(t.Context(), hash(1))
		if err != nil || len(rows) != 1 {
			t.Fatalf("%v, %v", rows, err)
		}
		r.Only(rows[0])
		stop := r.start()
		defer stop()
		r.until("its cap is read", time.Second, func() bool {
			e := r.entity(hash(1))
			return e != nil && e.Cap.Exact() == budget.Some(7.0)
		})
	})
}
