package judgement_test

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/examples/simulator"
)

// within is by when a real incident must have been called, from the moment it is there.
const within = 2 * time.Minute

// incident is something that goes wrong in a fleet that is well otherwise.
type incident struct {
	release   string
	limit     *float64 // of the key that it happens to
	spend     float64
	quiet     bool    // the key has no traffic before
	traffic   pattern // of the key, before and meanwhile; some of little cost if zero
	begin     func(f *fleet, key string)
	during    func(f *fleet, key string, tick int) // between two ticks of five seconds
	verdict   budget.Verdict
	cause     budget.Cause
	allSuffer bool // whoever has traffic
	check     func(t *testing.T, e *budget.Entity)
}

func TestIncidents(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]incident{
		"three workers seed at once": {
			release: "1.84.0", limit: new(10.0), spend: 3.536, quiet: true,
			begin:   func(f *fleet, key string) { f.race(key, 0.0005) },
			verdict: budget.FalselyLocked, cause: budget.ReseedMultiple,
			check: func(t *testing.T, e *budget.Entity) {
				t.Helper()
				if !slices.ContainsFunc(e.Evidence, func(n budget.Evidence) bool { return n.Name == "copies" && n.Value == 3 }) {
					t.Errorf("evidence %v does not tell of three copies", e.Evidence)
				}
			},
		},
		"three workers seed at once, far below the cap": {
			release: "1.86.2", limit: new(1000.0), spend: 36, quiet: true,
			begin: func(f *fleet, key string) { f.race(key, 0.0005) },
			during: func(f *fleet, key string, _ int) {
				f.send(0, simulator.Request{Key: key, Cost: 0.004, Estimate: 0.016})
			},
			verdict: budget.Diverging, cause: budget.ReseedMultiple,
		},
		"the same numbers in a release that is mended": {
			release: "1.87.5", limit: new(10.0), spend: 3.536, quiet: true,
			begin:   func(f *fleet, key string) { f.set(key, "10.608") },
			during:  func(f *fleet, key string, _ int) { f.touch(key) },
			verdict: budget.FalselyLocked, cause: budget.Unexplained,
		},
		"a reset by hand that the counter does not follow": {
			release: "1.84.0", limit: new(10.0), spend: 9,
			begin:   func(f *fleet, key string) { f.sim.ResetKeySpend(ctx, key) },
			verdict: budget.Diverging, cause: budget.StaleAfterReset,
		},
		"a reset that is undone": {
			release: "1.90.7", limit: new(100.0), spend: 40,
			begin: func(f *fleet, key string) {
				f.sim.ResetKeySpend(ctx, key)
			},
			during: func(f *fleet, key string, tick int) {
				if tick == 3 {
					f.set(key, "40.1")
				}
			},
			verdict: budget.Diverging, cause: budget.ResetUndone,
		},
		"an edit that the counter does not follow": {
			release: "1.84.0", limit: new(9.5), spend: 9,
			begin: func(f *fleet, key string) { f.sim.SetKeySpend(ctx, key, 1) },
			during: func(f *fleet, key string, tick int) {
				f.send(0, simulator.Request{Key: key, Cost: 0.05, Estimate: 0.05})
			},
			verdict: budget.FalselyLocked, cause: budget.ManualSpendEdit,
		},
		"reservations of a killed worker at the cap": {
			release: "1.109.1", limit: new(5.0), spend: 0.5, quiet: true,
			begin: func(f *fleet, key string) { f.kill(key, 2.08, 3) },
			during: func(f *fleet, key string, _ int) {
				f.touch(key)
			},
			verdict: budget.FalselyLocked, cause: budget.PinnedAtCap,
		},
		"reservations that leak": {
			release: "1.84.0", limit: new(500.0), spend: 20,
			during: func(f *fleet, key string, tick int) {
				if tick%3 == 0 {
					f.kill(key, 2.08, 1)
				}
			},
			verdict: budget.Diverging, cause: budget.ReservationLeak,
		},
		"a reservation that leaks as traffic grows": {
			release: "1.84.0", limit: new(500.0), spend: 20,
			begin: func(f *fleet, key string) { f.kill(key, 6, 1) },
			during: func(f *fleet, key string, _ int) {
				for range 5 {
					f.send(5*time.Second, simulator.Request{Key: key, Cost: 0.02, Estimate: 0.08})
				}
			},
			verdict: budget.Diverging, cause: budget.Unexplained,
		},
		"requests counted twice": {
			release: "1.84.0", limit: new(500.0), spend: 20, traffic: pattern{24 * time.Hour, 0, 5 * time.Second, 1, 0.3, 0.3, 0},
			during:  func(f *fleet, key string, _ int) { f.add(key, 0.3) },
			verdict: budget.Diverging, cause: budget.DoubleApply,
		},
		"a counter without expiry": {
			release: "1.84.0", limit: new(100.0), spend: 20, quiet: true,
			begin:   func(f *fleet, key string) { f.sim.SetCounter(ctx, simulator.KeyCounter(key), "20.0", 0) },
			verdict: budget.Diverging, cause: budget.Immortal,
		},
		"a counter below zero": {
			release: "1.84.0", limit: new(100.0), spend: 0.2, quiet: true,
			begin:   func(f *fleet, key string) { f.set(key, "-1.5") },
			verdict: budget.Diverging, cause: budget.Negative,
		},
		"a counter that restarts once a minute": {
			release: "1.83.14", limit: new(10.0), spend: 12, quiet: true,
			during: func(f *fleet, key string, tick int) {
				if tick%12 == 0 {
					f.set(key, "0.002")
				} else {
					f.add(key, 0.002)
				}
			},
			verdict: budget.Bypassed, cause: budget.CounterRestart, allSuffer: true,
		},
		"costs that are not counted": {
			release: "1.109.1", spend: 20,
			during: func(f *fleet, key string, tick int) {
				if tick%6 == 1 {
					f.sim.EditKey(key, func(k *simulator.Key) { k.Spend += 0.4 })
				}
			},
			verdict: budget.Diverging, cause: budget.Undercount,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simulator.Options{Release: c.release, Workers: 3, Seed: 7})
			f.calm()
			key := f.key(simulator.Key{MaxBudget: c.limit, Spend: c.spend})
			if !c.quiet {
				f.sends(key, cmp.Or(c.traffic, pattern{24 * time.Hour, 0, 5 * time.Second, 1, 0.004, 0.016, 5 * time.Second}))
			}
			f.run(10 * time.Minute)
			if c.begin != nil {
				c.begin(f, key)
			}
			id := budget.ID{Scope: budget.Key, Value: key}
			var called *budget.Entity // a lock can be over when the time is
			f.changed = func(e *budget.Entity) {
				if e.ID == id && e.Verdict == c.verdict && (called == nil || e.Cause == c.cause) {
					called = e
				}
			}
			for i := 0; time.Duration(i)*tick < within; i++ {
				if c.during != nil {
					c.during(f, key, i)
				}
				f.run(tick)
			}
			if called == nil || called.Cause != c.cause {
				t.Fatalf("want %s by %s: %s", c.verdict, c.cause, f.describe(cmp.Or(called, f.entity(id))))
			}
			if c.check != nil {
				c.check(t, called)
			}
			if !c.allSuffer {
				f.othersAreWell(id)
			}
		})
	}
}

// TestDrifts has a traffic that is known, of which a part is then counted twice or never settled. Nothing tells it from
// what is normal before it is larger than that; it is called no later than two minutes after.
func TestDrifts(t *testing.T) {
	const cost = 0.05 // USD, every five seconds
	twice := func(f *fleet, key string, _ int) { f.add(key, cost) }
	for name, c := range map[string]struct {
		flush    time.Duration
		estimate float64
		takes    time.Duration
		during   func(f *fleet, key string, tick int)
		within   time.Duration // from the first on
	}{
		"counted twice":                                    {10 * time.Second, cost, 2 * time.Second, twice, 2 * time.Minute},
		"counted twice, reservations":                      {10 * time.Second, 4 * cost, 5 * time.Second, twice, 3 * time.Minute},
		"counted twice, flush of 60 s":                     {55 * time.Second, cost, 2 * time.Second, twice, 3 * time.Minute},
		"counted twice, reservations and flush of 60 s":    {55 * time.Second, 4 * cost, 5 * time.Second, twice, 4 * time.Minute},
		"some never settled":                               {10 * time.Second, 4 * cost, 5 * time.Second, leak(4 * cost), 3 * time.Minute},
		"some never settled, small":                        {10 * time.Second, cost, 2 * time.Second, leak(cost), 3 * time.Minute},
		"some never settled, large":                        {10 * time.Second, 6 * cost, 25 * time.Second, leak(6 * cost), 4 * time.Minute},
		"some never settled, reservations and flush of 60": {55 * time.Second, 4 * cost, 5 * time.Second, leak(4 * cost), 4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7, FlushInterval: c.flush})
			f.calm()
			key := f.key(simulator.Key{MaxBudget: new(5000.0), Spend: 2})
			f.sends(key, pattern{24 * time.Hour, 0, 5 * time.Second, 1, cost, c.estimate, c.takes})
			f.run(20 * time.Minute)
			id := budget.ID{Scope: budget.Key, Value: key}
			began := f.sim.Now()
			normal, called := began, false
			f.changed = func(e *budget.Entity) {
				switch {
				case e.ID != id:
				case e.Verdict == budget.Diverging:
					called = true
				case e.Divergence.Value <= e.Tolerance.Value:
					normal = f.sim.Now()
				}
			}
			for i := 0; !called && f.sim.Now().Sub(began) < 10*time.Minute; i++ {
				c.during(f, key, i)
				f.run(tick)
			}
			took, more := f.sim.Now().Sub(began), f.sim.Now().Sub(normal)
			if !called || took > c.within || more > within {
				t.Errorf("called %v: after %v, %v of them above the tolerance: %s", called, took, more, f.describe(f.entity(id)))
			}
			f.othersAreWell(id)
		})
	}
}

// Traffic that bursts makes a divergence be less than what is normal for a while. It is called again after it.
func TestADivergenceOutlivesABurst(t *testing.T) {
	for _, length := range []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute} {
		t.Run(length.String(), func(t *testing.T) {
			f, key, id := spendingCents(t, 2)
			f.run(40 * time.Minute)
			f.kill(key, 3, 1)
			f.run(5 * time.Minute)
			called := f.entity(id).Verdict
			for range length / tick {
				for range 5 {
					f.send(2*time.Second, simulator.Request{Key: key, Cost: 0.1, Estimate: 0.1})
				}
				f.run(tick)
			}
			f.run(5 * time.Minute)
			if e := f.entity(id); called != budget.Diverging || e.Verdict != budget.Diverging {
				t.Errorf("%q before; %s", called, f.describe(e))
			}
		})
	}
}

// A leak that is too slow for a large spend to show it for hours is called when it does.
func TestADriftOfHours(t *testing.T) {
	f, key, id := spendingCents(t, 500)
	f.run(20 * time.Minute)
	began := f.sim.Now()
	for i := 0; f.entity(id).Verdict == budget.OK; i++ {
		if i%10 == 0 {
			f.add(key, 0.02)
		}
		if f.run(tick); f.sim.Now().Sub(began) > 4*time.Hour {
			t.Fatal(f.describe(f.entity(id)))
		}
	}
	if e := f.entity(id); e.Verdict != budget.Diverging || e.Divergence.Value > 1.1*params.ToleranceRatio*e.Enforced.Value {
		t.Error(f.describe(e))
	}
}

// spendingCents is a fleet that is well, and a key of it that has spent some and goes on in cents.
func spendingCents(t *testing.T, spend float64) (*fleet, string, budget.ID) {
	t.Helper()
	t.Parallel()
	f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7})
	f.calm()
	key := f.key(simulator.Key{MaxBudget: new(50_000.0), Spend: spend})
	f.sends(key, pattern{24 * time.Hour, 0, 5 * time.Second, 1, 0.02, 0.02, 2 * time.Second})
	return f, key, budget.ID{Scope: budget.Key, Value: key}
}

// leak has a worker killed with one more request in flight at every fifth tick.
func leak(estimate float64) func(f *fleet, key string, tick int) {
	return func(f *fleet, key string, tick int) {
		if tick%5 == 0 {
			f.kill(key, estimate, 1)
		}
	}
}

// Where no counter ever rests the write lag is not measured; how far rows are behind is, so that a lock is seen while it lasts.
func TestALockInAFleetThatNeverRests(t *testing.T) {
	f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7})
	busy := pattern{24 * time.Hour, 0, 4 * time.Second, 1, 0.002, 0, 0}
	for range 8 {
		f.sends(f.key(simulator.Key{MaxBudget: new(1000.0), Spend: 15}), busy)
	}
	key := f.key(simulator.Key{MaxBudget: new(10.0), Spend: 3.536})
	f.sends(key, busy)
	f.run(5 * time.Minute)
	if f.judge.WriteLag().Known {
		t.Fatal("the write lag is measured: the fleet rests")
	}
	f.set(key, "10.607") // for one minute
	id := budget.ID{Scope: budget.Key, Value: key}
	for range 12 {
		f.run(tick)
		if e := f.entity(id); e.Verdict == budget.FalselyLocked {
			f.othersAreWell(id)
			return
		}
	}
	t.Errorf("%s", f.describe(f.entity(id)))
}

func TestAllCountersFallAtOnce(t *testing.T) {
	f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7})
	f.calm()
	f.run(10 * time.Minute)
	for _, id := range f.ids { // a replica takes over that was behind
		f.set(id.Value, "1.5")
	}
	f.run(within)
	for _, id := range f.ids {
		if e := f.entity(id); e.Verdict != budget.Diverging || e.Cause != budget.CounterLost || e.Confidence < 0.8 {
			t.Errorf("%s", f.describe(e))
		}
	}
}

func TestAReservationThatOutlivesAReset(t *testing.T) {
	f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 1, Seed: 7})
	f.calm()
	key := f.key(simulator.Key{MaxBudget: new(1000.0), Spend: 30, BudgetDuration: "1d", ResetAt: f.began.Add(89 * time.Minute)})
	send := func(takes time.Duration, cost, estimate float64) {
		f.send(takes, simulator.Request{Key: key, Cost: cost, Estimate: estimate})
	}
	f.traffic = append(f.traffic, func(time.Time) { send(0, 0.4, 0.4) })
	f.run(89*time.Minute + 30*time.Second)
	send(2*time.Minute, 0.1, 6)
	f.run(2*time.Minute + within)
	if e := f.entity(budget.ID{Scope: budget.Key, Value: key}); e.Verdict != budget.Diverging || e.Cause != budget.GhostRefund {
		t.Errorf("%s", f.describe(e))
	}
}

func TestFlushStalls(t *testing.T) {
	f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7})
	f.calm()
	f.run(20 * time.Minute)
	if f.judge.FlushStalled(f.sim.Now()) {
		t.Fatal("the flush is at a standstill before it is")
	}
	f.sim.SetDatabaseDown(true) // the harness reads the rows all the same
	f.run(4 * time.Minute)
	if !f.judge.FlushStalled(f.sim.Now()) {
		t.Error("the flush is not at a standstill")
	}
	f.run(2 * time.Minute)
	for _, id := range f.ids {
		if e := f.entity(id); e.Cause != budget.NoCause && e.Cause != budget.Unexplained {
			t.Errorf("%s", f.describe(e))
		}
	}
	f.sim.SetDatabaseDown(false)
	f.run(time.Minute)
	if f.judge.FlushStalled(f.sim.Now()) {
		t.Error("the flush is at a standstill after it went on")
	}
}

// calm adds keys that are well, with traffic that pauses, so that the write lag is measured.
func (f *fleet) calm() {
	for range 6 {
		f.sends(f.key(simulator.Key{MaxBudget: new(1000.0), Spend: 15}), pattern{40 * time.Second, 30 * time.Second, 5 * time.Second, 1, 0.02, 0.08, 5 * time.Second})
	}
}

func (f *fleet) othersAreWell(id budget.ID) {
	f.t.Helper()
	for _, other := range f.ids {
		if e := f.entity(other); other != id && e.Verdict != budget.OK {
			f.t.Errorf("%s", f.describe(e))
		}
	}
}

// race has a request come to each worker at once.
func (f *fleet) race(key string, cost float64) {
	var rs []simulator.Request
	for worker := range 3 {
		rs = append(rs, simulator.Request{Key: key, Worker: worker, Cost: cost, Estimate: 4 * cost})
	}
	f.send(0, rs...)
}

// kill has requests begin whose worker is killed.
func (f *fleet) kill(key string, estimate float64, n int) {
	for range n {
		flights, _ := f.sim.Begin(context.Background(), simulator.Request{Key: key, Cost: 0.1, Estimate: estimate})
		if flights[0] != nil {
			flights[0].Kill()
		}
	}
}

// set, add and touch write a key's counter behind LiteLLM's back; touch only renews its life.
func (f *fleet) set(key, text string) {
	f.sim.SetCounter(context.Background(), simulator.KeyCounter(key), text, time.Minute)
}

func (f *fleet) add(key string, usd float64) {
	f.client.IncrByFloat(context.Background(), simulator.KeyCounter(key), usd)
}

func (f *fleet) touch(key string) {
	name := simulator.KeyCounter(key)
	if text, there := f.redis.values[name]; there {
		f.set(key, text)
	}
}
