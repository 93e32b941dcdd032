package casebook_test

import (
	"context"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector"
	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/examples/simulator"
)

// TestCasesThroughRedis puts every reading of every case into a simulated LiteLLM and a real Redis and reads it from
// there, as the exporter does. The same must be said of it as offline, and the metrics must show it.
func TestCasesThroughRedis(t *testing.T) {
	server := redistest.Standalone(t)
	all := cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, server, c)
			offline, through := c.Replay(), c.ReplayThrough(w.readBack)
			if err := through.Check(); err != nil {
				t.Error(err)
			}
			for i, e := range c.Entities {
				for n, want := range offline.Entities[i].Steps {
					got := through.Entities[i].Steps[n].Entity
					if got.Verdict != want.Entity.Verdict || got.Cause != want.Entity.Cause {
						t.Fatalf("%s %s at %s: %q by %q, offline %q by %q\n%s", e.Scope, e.ID, want.At,
							got.Verdict, got.Cause, want.Entity.Verdict, want.Entity.Cause, trace(through.Entities[i]))
					}
				}
				checkMetrics(t, e, offline.Release, worst(through.Entities[i]))
			}
		})
	}
}

// worst is the last view of an entity under its worst verdict; its last view of all if nothing was ever wrong.
func worst(r *casebook.Replayed) *budget.Entity {
	for _, v := range verdicts {
		for _, s := range slices.Backward(r.Steps) {
			if s.Entity.Verdict == v {
				return s.Entity
			}
		}
	}
	return r.Steps[len(r.Steps)-1].Entity
}

// checkMetrics holds what is exported of an entity against what its case expects.
func checkMetrics(t *testing.T, want *casebook.Entity, release budget.Release, e *budget.Entity) {
	t.Helper()
	snapshot := &budget.Snapshot{At: e.ReportedAt, Release: release, Entities: map[budget.Scope][]*budget.Entity{e.ID.Scope: {e}}}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.New(func() *budget.Snapshot { return snapshot }, 1))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{} // by name, and cause where there is that label
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "cause" {
					name += " " + l.GetValue()
				}
			}
			got[name] = m.GetGauge().GetValue()
		}
	}
	prefix := "litellm_budget_" + string(e.ID.Scope) + "_"
	verdict, cause := want.Expect.Verdict, want.Expect.Cause
	for name, value := range map[string]budget.Optional[float64]{
		prefix + "spend_reported_usd":   e.Reported,
		prefix + "spend_enforced_usd":   e.Enforced,
		prefix + "spend_divergence_usd": e.Divergence,
		prefix + "max_budget_usd":       e.Cap.Exact(),
		prefix + "redis_spend_usd":      {Value: e.Counter.Value, Known: e.Counter.State == budget.CounterPresent},
		prefix + "falsely_locked":       {Value: one(verdict == budget.FalselyLocked), Known: e.LockJudged},
		prefix + "bypassed":             {Value: one(verdict == budget.Bypassed), Known: e.LockJudged},
	} {
		if v, there := got[name]; there != value.Known || v != value.Value {
			t.Errorf("%s %s: %s is %v (there: %v), want %+v", e.ID.Scope, e.ID.Value, name, v, there, value)
		}
	}
	for _, c := range budget.Causes {
		if told := got[prefix+"divergence_cause "+string(c)] == 1; told != (c == cause) {
			t.Errorf("%s %s: the cause %s is exported: %v, want %q", e.ID.Scope, e.ID.Value, c, told, cause)
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// world is a simulated LiteLLM and a Redis, and the exporter's clients of both.
type world struct {
	t        *testing.T
	redis    *redis.Client
	litellm  *simulator.Simulator
	api      *litellm.Client
	counters *counters.Reader
	known    map[budget.ID]bool
}

// newWorld is an empty world of the case's release; of the nearest one that can be simulated, if that cannot.
func newWorld(t *testing.T, server *redistest.Server, c *casebook.Case) *world {
	t.Helper()
	w := &world{t: t, redis: server.Client(t), known: map[budget.ID]bool{}}
	if err := w.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	release := c.Release
	if oldest := simulator.Releases[0]; release != "" && budget.CompareVersions(release, oldest) < 0 {
		release = oldest
	}
	var err error
	w.litellm, err = simulator.New(simulator.Options{
		Release: release, Redis: w.redis, Namespace: c.Namespace, Clock: simulator.NewManualClock(casebook.Start),
	})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(w.litellm.Handler())
	t.Cleanup(api.Close)
	w.api, err = litellm.New(litellm.Options{
		URL: api.URL, Timeout: time.Minute,
		HTTP: config.HTTPClientConfig{Authorization: &config.Authorization{
			Type: "Bearer", Credentials: config.Secret(w.litellm.MasterKey()),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if told, err := w.api.Release(t.Context()); err != nil || release != "" && told != release {
		t.Fatalf("release %q is told: %v", told, err)
	}
	w.counters, err = counters.New(counters.Options{
		Mode: counters.Standalone, Addresses: []string{server.Addr}, Namespace: c.Namespace, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.counters.Close() })
	return w
}

// slack is how much longer than in its case a counter lives, so that on a busy machine, too, it does while it is read back.
const slack = time.Minute

// readBack puts a reading into the world and reads it from there. The time is the case's own, and so is what counters have to live.
func (w *world) readBack(s casebook.Seen) casebook.Seen {
	back := s
	if s.RowRead && s.Row.Spend.Known { // the simulator has no spend that is null
		w.putRow(s.Row)
		row := w.row(s.Row.ID)
		row.ID, row.ReadAt = s.Row.ID, s.At
		back.Row = &row
	}
	if s.Counter.State == budget.CounterUnread {
		return back
	}
	names := []string{w.name(s.Row.ID)}
	w.putCounter(names[0], s.Counter)
	for i, window := range s.Row.Windows {
		names = append(names, names[0]+":window:"+window.Duration)
		w.putCounter(names[i+1], s.Windows[i])
	}
	read, err := w.counters.Read(w.t.Context(), names)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, put := range append([]budget.Counter{s.Counter}, s.Windows...)[:len(read)] {
		read[i].ReadAt = s.At
		if read[i].State == budget.CounterPresent && put.TTL > 0 {
			if left := read[i].TTL; left <= put.TTL || left > put.TTL+slack {
				w.t.Errorf("%s has %s to live at %s, of %s", names[i], left, s.At, put.TTL+slack)
			}
			read[i].TTL = put.TTL
		}
	}
	back.Counter, back.Windows = read[0], read[1:]
	return back
}

// bearer is the raw key that is made up for a stand-in.
func bearer(id budget.ID) string { return "sk-" + id.Value }

// name is the name of an entity's counter.
func (w *world) name(id budget.ID) string {
	if id.Scope == budget.Key {
		id.Value = simulator.Hash(bearer(id))
	}
	return budget.CounterName(id)
}

func (w *world) putCounter(name string, c budget.Counter) {
	ctx := w.t.Context()
	switch c.State {
	case budget.CounterUnread:
	case budget.CounterAbsent:
		w.litellm.DeleteCounter(ctx, name)
	case budget.CounterUnreadable:
		w.litellm.SetCounter(ctx, name, "no number", c.TTL)
	case budget.CounterPresent:
		life := time.Duration(0) // for ever
		if c.TTL > 0 {
			life = c.TTL + slack
		}
		w.litellm.SetCounter(ctx, name, strconv.FormatFloat(c.Value, 'g', -1, 64), life)
	}
}

// row reads a row from the API, as the exporter confirms what it suspects.
func (w *world) row(id budget.ID) budget.Row {
	read := w.api.Team
	if id.Scope == budget.Key {
		id.Value = simulator.Hash(bearer(id))
		read = w.key
	}
	row, err := read(w.t.Context(), id.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return *row
}

// key reads a key, and its link to a budget where the list does not tell it.
func (w *world) key(ctx context.Context, hash string) (*budget.Row, error) {
	row, err := w.api.Key(ctx, hash)
	if err == nil && !row.MaxBudget.Known && row.Link.State == budget.LinkUnread {
		return w.api.KeyInfo(ctx, hash)
	}
	return row, err
}

func (w *world) putRow(r *budget.Row) {
	first := !w.known[r.ID]
	w.known[r.ID] = true
	if r.ID.Scope == budget.Team {
		if first {
			w.litellm.AddTeam(simulator.Team{ID: r.ID.Value})
		}
		w.litellm.EditTeam(r.ID.Value, func(team *simulator.Team) {
			team.Spend, team.MaxBudget, team.ResetAt = r.Spend.Value, pointer(r.MaxBudget), r.ResetAt.Value
			team.Blocked, team.Windows = r.Blocked, windows(r.Windows)
		})
		return
	}
	if first {
		w.litellm.AddKey(simulator.Key{Raw: bearer(r.ID), TeamID: r.Names.TeamID})
	}
	w.litellm.EditKey(simulator.Hash(bearer(r.ID)), func(k *simulator.Key) {
		k.Spend, k.TotalSpend, k.MaxBudget, k.ResetAt = r.Spend.Value, r.TotalSpend.Value, pointer(r.MaxBudget), r.ResetAt.Value
		k.Blocked, k.Expires, k.Windows = r.Blocked, r.Expires.Value, windows(r.Windows)
		k.BudgetID = ""
		if r.Link.State == budget.LinkUnread {
			k.BudgetID = "of which nothing is known"
		}
		k.Metadata = map[string]any{}
		if r.TempIncrease.USD != 0 {
			layout := time.RFC3339
			if r.TempIncrease.NoZone {
				layout = "2006-01-02T15:04:05"
			}
			k.Metadata["temp_budget_increase"] = r.TempIncrease.USD
			k.Metadata["temp_budget_expiry"] = r.TempIncrease.ExpiresAt.Format(layout)
		}
		if r.Throttled {
			k.Metadata["throttle_on_budget_exceeded"] = true
			k.RPMLimit = new(int64(60))
		}
	})
}

func windows(of []budget.Window) []simulator.Window {
	var ws []simulator.Window
	for _, w := range of {
		ws = append(ws, simulator.Window{Duration: w.Duration, MaxBudget: w.MaxBudget.Value, ResetAt: w.ResetAt.Value})
	}
	return ws
}

func pointer(o budget.Optional[float64]) *float64 {
	if !o.Known {
		return nil
	}
	return &o.Value
}
