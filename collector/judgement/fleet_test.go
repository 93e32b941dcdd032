package judgement_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/examples/simulator"
)

// tick is how far time goes in one step of a fleet. Readings, traffic and confirmations happen between steps.
const (
	tick            = 5 * time.Second
	counterInterval = 15 * time.Second
	inventory       = 60 * time.Second
)

var params = judgement.Params{ToleranceUSD: 0.01, ToleranceRatio: 0.01, WriteLag: 15 * time.Second, CounterInterval: counterInterval}

// fleet is a simulated LiteLLM with the judgement of it, read as the poller reads: in virtual time, but at the default
// intervals.
type fleet struct {
	t       *testing.T
	sim     *simulator.Simulator
	redis   *memory
	client  *redis.Client
	judge   *judgement.Judge
	tracks  map[budget.ID]*judgement.Track
	ids     []budget.ID
	random  *rand.Rand
	flights []flight
	traffic []func(now time.Time)
	began   time.Time
	changed func(e *budget.Entity)  // told of every entity after a reading
	normal  map[budget.ID]time.Time // when an entity was last within its tolerance, or called

	resetless bool // no key is ever reset
}

type flight struct {
	*simulator.Flight
	ends time.Time
}

func newFleet(t *testing.T, o simulator.Options) *fleet {
	t.Helper()
	clock := simulator.NewManualClock(time.Date(2026, 11, 24, 7, 42, 0, 0, time.UTC))
	f := &fleet{
		t: t, judge: judgement.New(params), tracks: map[budget.ID]*judgement.Track{}, random: rand.New(rand.NewPCG(o.Seed, 1)),
		redis: newMemory(clock.Now), began: clock.Now(), changed: func(*budget.Entity) {},
		normal: map[budget.ID]time.Time{},
	}
	f.client = f.redis.client()
	o.Clock, o.Redis = clock, f.client
	sim, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.sim = sim
	f.judge.SetRelease(budget.ReleaseOf(o.Release))
	return f
}

func (f *fleet) key(k simulator.Key) string {
	added := f.sim.AddKey(k)
	f.know(budget.ID{Scope: budget.Key, Value: added.Hash})
	return added.Hash
}

func (f *fleet) team(tm simulator.Team) {
	f.sim.AddTeam(tm)
	f.know(budget.ID{Scope: budget.Team, Value: tm.ID})
}

func (f *fleet) know(id budget.ID) {
	f.ids = append(f.ids, id)
	f.tracks[id] = &judgement.Track{}
}

// send has requests admitted at once, to be answered after a time.
func (f *fleet) send(takes time.Duration, requests ...simulator.Request) {
	flights, _ := f.sim.Begin(context.Background(), requests...)
	for _, fl := range flights {
		if fl != nil {
			f.flights = append(f.flights, flight{fl, f.sim.Now().Add(takes)})
		}
	}
}

// run lets time pass.
func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	ctx := context.Background()
	for end := f.sim.Now().Add(d); f.sim.Now().Before(end); {
		if err := f.sim.Step(ctx, tick); err != nil {
			f.t.Fatal(err)
		}
		now := f.sim.Now()
		still := f.flights[:0]
		for _, fl := range f.flights {
			if now.Before(fl.ends) {
				still = append(still, fl)
			} else {
				fl.Settle(ctx)
			}
		}
		f.flights = still
		for _, send := range f.traffic {
			send(now)
		}
		f.read(now)
	}
}

// read reads what is due, as the loops of the poller would.
func (f *fleet) read(now time.Time) {
	since := now.Sub(f.began)
	sweep, count := since%inventory == 0, since%counterInterval == 0
	for _, id := range f.ids {
		t := f.tracks[id]
		if sweep || t.Row() == nil {
			f.readRow(id, t)
		}
		if count {
			f.readCounter(id, t)
			if !sweep && (f.judge.CounterMoved(t) || t.Watched()) {
				f.readRow(id, t)
			}
		}
		if s, suspected := t.Suspicion(); suspected && !now.Before(s.DueAt) {
			f.readRow(id, t)
			f.readCounter(id, t)
		}
		if e := t.Entity(); e != nil {
			f.changed(e)
			f.callsWhatIsNotNormal(e, now)
		}
	}
}

// callsWhatIsNotNormal fails the test where somebody's divergence has been above the tolerance in force in every reading for
// two minutes and is not called one: a tolerance that is not the one in force misleads whoever looks at it.
func (f *fleet) callsWhatIsNotNormal(e *budget.Entity, now time.Time) {
	f.t.Helper()
	apart := math.Abs(e.Divergence.Value)
	if e.Verdict != budget.OK || apart <= e.Tolerance.Value || apart <= params.ToleranceRatio*max(e.Reported.Value, e.Enforced.Value) {
		f.normal[e.ID] = now
	}
	if lasts := now.Sub(f.normal[e.ID]); lasts > within {
		f.t.Errorf("above its tolerance for %v: %s", lasts, f.describe(e))
	}
}

func (f *fleet) readRow(id budget.ID, t *judgement.Track) {
	r := &budget.Row{ID: id, ReadAt: f.sim.Now(), Link: budget.BudgetLink{State: budget.LinkNone}}
	var limit *float64
	var reset time.Time
	if id.Scope == budget.Key {
		k, _ := f.sim.Key(id.Value)
		r.Spend, limit, reset = budget.Some(k.Spend), k.MaxBudget, k.ResetAt
	} else {
		tm, _ := f.sim.Team(id.Value)
		r.Spend, limit, reset = budget.Some(tm.Spend), tm.MaxBudget, tm.ResetAt
	}
	if limit != nil {
		r.MaxBudget = budget.Some(*limit)
	}
	if !reset.IsZero() {
		r.ResetAt = budget.Some(reset)
	}
	f.judge.Row(t, r)
}

func (f *fleet) readCounter(id budget.ID, t *judgement.Track) {
	f.judge.Counter(t, f.redis.counter(budget.CounterName(id)), nil)
}

func (f *fleet) entity(id budget.ID) *budget.Entity { return f.tracks[id].Entity() }

func (f *fleet) describe(e *budget.Entity) string {
	text := fmt.Sprintf("%s %s %s: %q, cause %s (%.2f) %v; reported %.4f, counter %.4f, divergence %.4f, tolerance %.4f", f.sim.Now().Sub(f.began), e.ID.Scope, e.ID.Value[:min(8, len(e.ID.Value))],
		e.Verdict, e.Cause, e.Confidence, e.Evidence, e.Reported.Value, e.Counter.Value, e.Divergence.Value, e.Tolerance.Value)
	for _, s := range f.tracks[e.ID].Samples() {
		text += fmt.Sprintf("\n\t%8s reported %.4f counter %.4f (%v) ttl %v", s.At.Sub(f.began), s.Reported.Value, s.Counter.Value, s.Counter.Known, s.TTL)
	}
	return text
}
