package poller

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestReconfigureKeepsHistoriesOfTheSameSources(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		kept   bool
	}{
		"same sources":    {func(o *Options) { o.Inventory = 2 * time.Minute }, true},
		"another LiteLLM": {func(o *Options) { o.Identity = "two" }, false},
		"without a Redis": {func(o *Options) { o.Identity, o.Counters = "three", nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig) {
					r.api.key(1, 3.536, 10)
					r.redis.hold(counterOfKey(hash(1)), 10.607)
				})
				stop := r.start()
				r.until("it is falsely locked", time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
				first := r.entity(hash(1)).FirstAt
				stop()
				o := r.options
				c.change(&o)
				r.Reconfigure(o)
				if kept := r.entity(hash(1)) != nil; kept != c.kept {
					t.Errorf("shown after the reload: %v, want %v", kept, c.kept)
				}
				stop = r.start()
				defer stop()
				r.until("it is read", time.Minute, func() bool { return r.entity(hash(1)) != nil })
				e := r.entity(hash(1))
				if kept := e.FirstAt.Equal(first); kept != c.kept {
					t.Errorf("the history was kept: %v, want %v", kept, c.kept)
				}
				if _, redis := r.Snapshot().Sources[budget.Redis]; redis != (o.Counters != nil) {
					t.Errorf("sources %v", r.Snapshot().Sources)
				}
			})
		})
	}
}

func TestASourceThatFailsIsDownAfterAReconfigureToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.api.key(1, 1, 10) })
		stop := r.start()
		r.until("both are up", time.Minute, func() bool { return r.source(budget.LiteLLM).Up && r.source(budget.Redis).Up })
		r.api.setDown(true)
		r.until("LiteLLM is down", 2*time.Minute, func() bool { return !r.source(budget.LiteLLM).Up })
		stop()
		r.Reconfigure(r.options)
		if s := r.source(budget.LiteLLM); s.Up || s.Problem == "" || !r.source(budget.Redis).Up {
			t.Errorf("after the reload: LiteLLM %+v, Redis %+v", s, r.source(budget.Redis))
		}
		r.api.setDown(false)
		stop = r.start()
		defer stop()
		r.until("LiteLLM is up", time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
	})
}

func TestReconfigureToOtherEntitiesAndScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.api.key(1, 1, 10)
			r.api.key(2, 1, 10)
			r.api.team("t-1", "Blue", 1, 10)
		})
		stop := r.start()
		r.settle()
		stop()
		o := r.options
		o.Keys = []string{hash(2)}
		r.Reconfigure(o)
		if r.count(budget.Key) != 1 || r.count(budget.Team) != 0 {
			t.Errorf("shown after naming one key: %v", r.Snapshot().Entities)
		}
		stop = r.start()
		r.settle()
		stop()
		o.Keys, o.Scopes = nil, []budget.Scope{budget.Key}
		r.Reconfigure(o)
		if len(r.Snapshot().Fleets) != 0 {
			t.Error("a fleet that was not read yet is shown")
		}
		stop = r.start()
		defer stop()
		r.until("all keys and no team are shown", time.Minute, func() bool { return r.count(budget.Key) == 2 && r.count(budget.Team) == 0 })
	})
}

func TestRunEndsWithItsContextOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.api.down = true; r.redis.err = redisDown("connection") })
		ended := false
		go func() {
			_ = r.Run(t.Context())
			ended = true
		}()
		r.wait(24 * time.Hour)
		if ended {
			t.Error("it ended although both sources failed only")
		}
	})
}

func TestSnapshotsAreMadeWhenSomethingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.api.key(1, 1, 10) })
		stop := r.start()
		r.settle()
		stop()
		sent, read := len(r.api.sent("")), len(r.redis.reads())
		s := r.Snapshot()
		if r.Snapshot() != s {
			t.Error("a new one is made although nothing changed")
		}
		r.wait(2*time.Minute + time.Second)
		if e := r.entity(hash(1)); e == nil || e.Enforced.Known {
			t.Error("time alone does not take away what is too old")
		}
		r.wait(4 * time.Minute)
		if r.entity(hash(1)) != nil {
			t.Error("time alone does not take away what is too old")
		}
		if s.Entities[budget.Key][0].Enforced != budget.Some(1.0) {
			t.Error("a snapshot changed after it was given out")
		}
		if len(r.api.sent("")) != sent || len(r.redis.reads()) != read {
			t.Error("a snapshot caused I/O")
		}
	})
}

// TestHundredThousandKeys also holds memory to less than 2 KB an entity, the sweep's own included.
func TestHundredThousandKeys(t *testing.T) {
	const keys = 100_000
	before := uint64(0)
	run(t, func(r *rig) {
		r.api.latency = 30 * time.Millisecond
		for n := range keys {
			r.api.key(n, 1, 10)
			if n%10 == 0 {
				r.redis.hold(counterOfKey(hash(n)), 1)
			}
		}
		before = memory()
	}, func(r *rig) {
		start := time.Now()
		for !r.swept() {
			r.wait(10 * time.Second)
			if time.Since(start) > 5*time.Minute {
				t.Fatal("no whole sweep of 1000 pages of 30 ms at the ratio of 0.25 in 5 minutes")
			}
		}
		r.redis.hold(counterOfKey(hash(1)), 10.607) // never read before
		r.wait(soon)
		if f := r.Snapshot().Fleets[budget.Key]; f.Entities != keys || f.FalselyLocked != budget.Some(1) {
			t.Errorf("%d entities, %v of them locked; want all and 1", f.Entities, f.FalselyLocked)
		}
		for first := r.Snapshot().LastFullSweep; r.Snapshot().LastFullSweep == first; {
			r.wait(10 * time.Second)
			if time.Since(start) > 20*time.Minute {
				t.Fatal("no second sweep in 20 minutes")
			}
		}
		r.api.forgetCalls()
		if each := int64(memory()-before) / keys; each > 2000 {
			t.Errorf("%d bytes an entity", each)
		} else {
			t.Logf("%d bytes an entity", each)
		}
	})
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
