package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/collector/explain"
	"litellm_budget_exporter/examples/simulator"
)

// TestFalseRefusalsAreSeenWithoutRedis has LiteLLM refuse a key and a team that have money left, and a key that has
// none, and the program, which has no Redis to look into, tell them apart.
func TestFalseRefusalsAreSeenWithoutRedis(t *testing.T) {
	for _, release := range []string{"1.84.0", "1.109.1"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
			defer client.Close()
			liteLLM, err := simulator.New(simulator.Options{Release: release, Redis: client, FlushInterval: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			liteLLM.AddTeam(simulator.Team{ID: "team-growth", Spend: 3, MaxBudget: new(10.0)})
			liteLLM.AddUser(simulator.User{ID: "u-1", Role: simulator.InternalUser, Spend: 30, MaxBudget: new(20.0)})
			locked := liteLLM.AddKey(simulator.Key{Alias: "checkout-prod", Spend: 3.536, MaxBudget: new(10.0)})
			exhausted := liteLLM.AddKey(simulator.Key{Alias: "exhausted", Spend: 10.25, MaxBudget: new(10.0)})
			ofTeam := liteLLM.AddKey(simulator.Key{Alias: "growth", TeamID: "team-growth"})
			ofUser := liteLLM.AddKey(simulator.Key{Alias: "of a user", UserID: "u-1"})
			go func() { _ = liteLLM.Run(t.Context()) }() // ends with its context only
			l := httptest.NewServer(liteLLM.Handler())
			defer l.Close()
			file := t.TempDir() + "/config.yml"
			write(t, file, fmt.Sprintf(`
litellm: {url: %q, api_key: %q, max_busy_ratio: 1}
redis: null
intervals: {inventory: 1s}
tolerance: {write_lag: 500ms}
`, l.URL, liteLLM.MasterKey()))
			e := start(t, nil, "--config.file="+file)
			has := func(series ...string) error {
				metrics := e.get(t, "/metrics")
				for _, s := range series {
					if !strings.Contains(metrics, "\n"+s+"\n") {
						return fmt.Errorf("no %s in\n%s", s, metrics)
					}
				}
				return nil
			}
			const observed = "litellm_budget_refusals_observed_total"
			eventually(t, func() error {
				return has(observed+`{reported="below_cap",scope="key"} 0`, `litellm_budget_entities{scope="key"} 4`, `litellm_budget_entities{scope="team"} 1`)
			})

			// What LiteLLM enforces, and nobody can see: the locked ones have counters far above their rows.
			liteLLM.SetCounter(t.Context(), simulator.KeyCounter(locked.Hash), "10.607", 0)
			liteLLM.SetCounter(t.Context(), simulator.TeamCounter("team-growth"), "10.607", 0)
			for _, k := range []simulator.Key{locked, exhausted, ofTeam, ofUser} {
				if r := liteLLM.Send(context.WithoutCancel(t.Context()), simulator.Request{Key: k.Hash, Cost: 0.01})[0]; r == nil {
					t.Fatalf("%s was admitted", k.Alias)
				}
			}
			eventually(t, func() error {
				return has(
					observed+`{reported="below_cap",scope="key"} 1`, observed+`{reported="at_cap",scope="key"} 1`, observed+`{reported="unknown",scope="key"} 0`,
					observed+`{reported="below_cap",scope="team"} 1`, observed+`{reported="unknown",scope="user"} 1`,
				)
			})
			if page := e.get(t, "/explain?id=checkout-prod"); !strings.Contains(page, "Falsely refused at ") {
				t.Errorf("the explanation does not tell:\n%s", page)
			}
			if page := e.get(t, "/explain?id=exhausted"); strings.Contains(page, "Falsely refused") || !strings.Contains(page, "refused at ") {
				t.Errorf("of the one that has spent it all it is told:\n%s", page)
			}
			for _, k := range []simulator.Key{locked, exhausted, ofTeam, ofUser} {
				if shown := e.stderr.String() + e.get(t, "/metrics") + e.get(t, "/"); strings.Contains(shown, k.Raw) {
					t.Errorf("the raw key of %s is shown", k.Alias)
				}
			}
		})
	}
}

// TestRefusalsOfALockAreFollowed has LiteLLM go on refusing a key and a team that are falsely locked, and the program,
// which sees that in a real Redis, tell the last refusal of each, when the log was read, and that they are false. The
// log of 1.84.0 names the team in the message only, and holds the raw key that asked.
func TestRefusalsOfALockAreFollowed(t *testing.T) {
	for _, release := range []string{"1.84.0", "1.109.1"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			counters := redistest.Standalone(t)
			liteLLM, err := simulator.New(simulator.Options{Release: release, Redis: counters.Client(t), FlushInterval: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			liteLLM.AddTeam(simulator.Team{ID: "team-growth", Spend: 3, MaxBudget: new(10.0)})
			locked := liteLLM.AddKey(simulator.Key{Alias: "checkout-prod", Spend: 3.536, MaxBudget: new(10.0)})
			ofTeam := liteLLM.AddKey(simulator.Key{Alias: "growth", TeamID: "team-growth", Spend: 1, MaxBudget: new(10.0)})
			go func() { _ = liteLLM.Run(t.Context()) }() // ends with its context only
			l := httptest.NewServer(liteLLM.Handler())
			defer l.Close()
			file := t.TempDir() + "/config.yml"
			write(t, file, fmt.Sprintf(`
litellm: {url: %q, api_key: %q, max_busy_ratio: 1}
redis: {url: "redis://%s/0"}
intervals: {inventory: 1s, counters: 1s}
tolerance: {write_lag: 500ms}
`, l.URL, liteLLM.MasterKey(), counters.Addr))
			e := start(t, nil, "--config.file="+file)
			const unnamed = "\nlitellm_budget_refusals_observed_total{reported=\"unknown\",scope=\"unknown\"} 0\n"
			eventually(t, func() error {
				if metrics := e.get(t, "/metrics"); !strings.Contains(metrics, unnamed) || !strings.Contains(metrics, `litellm_budget_entities{scope="key"} 2`) {
					return fmt.Errorf("no %s in\n%s", unnamed, metrics)
				}
				return nil
			})

			liteLLM.SetCounter(t.Context(), simulator.KeyCounter(locked.Hash), "10.607", 0)
			liteLLM.SetCounter(t.Context(), simulator.TeamCounter("team-growth"), "10.607", 0)
			refuse := func() {
				for _, k := range []simulator.Key{locked, ofTeam} {
					if r := liteLLM.Send(context.WithoutCancel(t.Context()), simulator.Request{Key: k.Hash, Cost: 0.01})[0]; r == nil {
						t.Fatalf("%s was admitted", k.Alias)
					}
				}
			}
			// told is the last refusal by a budget of the scope, as the explanation tells it.
			told := func(id, scope string) (last explain.Refusal, read time.Time) {
				var x explain.Explanation
				if err := json.Unmarshal([]byte(e.get(t, "/explain?format=json&id="+id)), &x); err != nil {
					t.Fatal(err)
				}
				for _, r := range x.Refusals {
					if string(r.Scope) == scope && last.At.IsZero() {
						last = r
					}
				}
				if x.RefusalsReadAt != nil {
					read = *x.RefusalsReadAt
				}
				return last, read
			}
			after := time.Now()
			for range 2 {
				eventually(t, func() error {
					refuse()
					for id, scope := range map[string]string{"checkout-prod": "key", "team-growth": "team"} {
						r, read := told(id, scope)
						if !r.At.After(after) || read.Before(r.At) || r.FalseAt == nil || !r.FalseAt.After(after.Add(-time.Minute)) {
							return fmt.Errorf("of %s: %+v, read at %v; want one from after %v, and a false one", id, r, read, after)
						}
					}
					if r, _ := told("growth", "team"); r.At.IsZero() {
						return fmt.Errorf("the key whose team is locked is not told what it met")
					}
					return nil
				})
				after = time.Now()
			}
			if page := e.get(t, "/explain?id=checkout-prod"); !strings.Contains(page, "log was last read at ") || !strings.Contains(page, " was false") {
				t.Errorf("the page does not tell:\n%s", page)
			}
			for _, k := range []simulator.Key{locked, ofTeam} {
				shown := e.stderr.String() + e.get(t, "/metrics") + e.get(t, "/") + e.get(t, "/explain?format=json&id="+k.Hash)
				if strings.Contains(shown, k.Raw) {
					t.Errorf("the raw key of %s is shown", k.Alias)
				}
			}
		})
	}
}
