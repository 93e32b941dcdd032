package poller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
)

func redisDown(reason counters.Reason) error {
	return &counters.Error{Reason: reason, Address: "redis:6379", Err: errors.New("it failed")}
}

func TestCountersOfEntitiesAndTheirWindowsAreRead(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.change(hash(1), func(row *budget.Row) {
			row.Windows = []budget.Window{{Duration: "1d", MaxBudget: budget.Some(2.0)}, {Duration: "7d"}}
		})
		r.api.team("t-1", "Blue", 3, 10)
		r.redis.hold(counterOfKey(hash(1)), 1.25)
		r.redis.hold(counterOfKey(hash(1))+":window:7d", 0.75)
		r.redis.hold("spend:team:t-1", 3.5)
	}, func(r *rig) {
		r.until("the counters are read after the first sweep", time.Second, func() bool {
			return r.swept() && r.entity("t-1").Counter.State == budget.CounterPresent
		})
		key, team := r.entity(hash(1)), r.entity("t-1")
		if key.Enforced != budget.Some(1.25) || team.Enforced != budget.Some(3.5) {
			t.Errorf("enforced %v and %v", key.Enforced, team.Enforced)
		}
		if key.Windows[0].Enforced.Known || key.Windows[1].Enforced != budget.Some(0.75) {
			t.Errorf("windows %+v", key.Windows)
		}
		if f := r.Snapshot().Fleets[budget.Key]; f.CountersPresent != budget.Some(1) || f.EnforcedSum != budget.Some(1.25) || !f.ReadingGapMax.Known {
			t.Errorf("fleet %+v", f)
		}
		if r.Snapshot().CounterNames != "bare" {
			t.Errorf("names %q", r.Snapshot().CounterNames)
		}
	})
}

func TestWindowReadingsFollowWindowsThatChangedMeanwhile(t *testing.T) {
	asked := &budget.Row{Windows: []budget.Window{{Duration: "1d"}, {Duration: "7d"}}}
	now := &budget.Row{Windows: []budget.Window{{Duration: "7d"}, {Duration: "30d"}}}
	got := windowsOf(now, asked, []budget.Counter{{State: budget.CounterPresent, Value: 1}, {State: budget.CounterPresent, Value: 7}})
	if len(got) != 2 || got[0].Value != 7 || got[1].State != budget.CounterUnread {
		t.Errorf("got %+v", got)
	}
}

func TestRedisDown(t *testing.T) {
	for _, reason := range []counters.Reason{
		counters.Connection, counters.NoAuth, counters.NoPerm, counters.Loading, counters.Unavailable, counters.Timeout,
	} {
		t.Run(string(reason), func(t *testing.T) {
			run(t, func(r *rig) {
				r.api.key(1, 3.536, 10)
				r.redis.hold(counterOfKey(hash(1)), 10.607)
			}, func(r *rig) {
				r.until("it is falsely locked", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
				r.redis.failing(redisDown(reason), nil)
				r.until("the source is down", 16*time.Second, func() bool { return !r.source(budget.Redis).Up })
				if r.telemetry.errorsOf("redis "+string(reason)) == 0 || !strings.Contains(r.source(budget.Redis).Problem, "redis:6379") {
					t.Errorf("errors %v, problem %q", r.telemetry.errors, r.source(budget.Redis).Problem)
				}
				if r.entity(hash(1)).Enforced != budget.Some(10.607) {
					t.Error("the last reading is not shown any more")
				}
				r.until("what Redis told disappears", 2*time.Minute, func() bool { return !r.entity(hash(1)).Enforced.Known })
				if age := time.Since(r.source(budget.Redis).LastSuccess.Value); age < 100*time.Second {
					t.Errorf("it disappeared after %v", age)
				}
				e, s := r.entity(hash(1)), r.Snapshot()
				if e.Reported != budget.Some(3.536) || e.Counter.State != budget.CounterUnread || e.Divergence.Known ||
					e.Tolerance.Known || e.Verdict != budget.NotJudged || e.LockJudged || e.Cause != budget.NoCause || e.FalselyLockedLast.Known {
					t.Errorf("shown: %+v", e)
				}
				f := s.Fleets[budget.Key]
				if f.FalselyLocked.Known || f.EnforcedSum.Known || f.DivergenceMax.Known || f.Diverging != nil || f.CountersPresent.Known ||
					f.ReadingGapMax.Known || len(s.FleetCauses) > 0 || s.BufferLengths != nil {
					t.Errorf("fleet: %+v", f)
				}
				if f.ReportedSum != budget.Some(3.536) || f.Totals.FalselyLockedEpisodes != 1 {
					t.Errorf("fleet: %+v", f)
				}
				logged := strings.Count(r.log.String(), "reading a source failed")
				if logged != 1 {
					t.Errorf("logged %d times, want once", logged)
				}
				r.redis.failing(nil, nil)
				r.until("it is judged again", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
			})
		})
	}
}

func TestNobodyEntersAVerdictWhileASourceFails(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
		r.api.key(2, 1, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.redis.hold(counterOfKey(hash(2)), 1)
		r.redis.failing(redisDown(counters.Timeout), func(name string) bool { return strings.Contains(name, hash(2)) })
		r.wait(3 * time.Minute)
		if v := r.verdict(hash(1)); v == budget.FalselyLocked {
			t.Errorf("the verdict is %q while a node of Redis is not read", v)
		}
		r.redis.failing(nil, nil)
		r.until("it is locked once all are read", time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
	})
}

func TestNodesOfAClusterThatAreLostKeepTheOthersValues(t *testing.T) {
	run(t, func(r *rig) {
		for n := range 20 {
			r.api.key(n, 1, 10)
			r.redis.hold(counterOfKey(hash(n)), 2)
		}
	}, func(r *rig) {
		lost := func(name string) bool { return strings.Compare(name, "spend:key:8") < 0 }
		r.settle()
		r.redis.failing(redisDown(counters.Unavailable), lost)
		for n := range 20 {
			r.redis.hold(counterOfKey(hash(n)), 3)
		}
		r.until("the other nodes are followed", 16*time.Second, func() bool {
			for n := range 20 {
				want := 3.0
				if lost(counterOfKey(hash(n))) {
					want = 2
				}
				if r.entity(hash(n)).Counter.Value != want {
					return false
				}
			}
			return true
		})
		if r.source(budget.Redis).Up {
			t.Error("the source is up although a node was not read")
		}
		r.wait(3 * time.Minute)
		for n := range 20 {
			if known := r.entity(hash(n)).Enforced.Known; known == lost(counterOfKey(hash(n))) {
				t.Errorf("after the staleness bound enforced of key %d is known: %v", n, known)
			}
		}
	})
}

func TestUnreadableCounterHidesWhatItWouldTellAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.key(2, 1, 10)
		r.redis.hold(counterOfKey(hash(1)), 2)
		r.redis.hold(counterOfKey(hash(2)), 2)
	}, func(r *rig) {
		r.settle()
		r.redis.spoil(counterOfKey(hash(1)), false)
		r.until("its enforced spend is unknown", 16*time.Second, func() bool { return !r.entity(hash(1)).Enforced.Known })
		if !r.entity(hash(2)).Enforced.Known || !r.source(budget.Redis).Up {
			t.Error("it takes others with it")
		}
		r.wait(30 * time.Second)
		if n := r.Snapshot().Fleets[budget.Key].Totals.UnreadableCounters; n < 2 || n > 4 {
			t.Errorf("counted %d, want one a cycle", n)
		}
	})
}

func TestUnreadableCountersAreCountedByReasonAndToldOnce(t *testing.T) {
	run(t, func(r *rig) {
		for n := range 3 {
			r.api.key(n, 1, 10)
			r.redis.hold(counterOfKey(hash(n)), 2)
		}
	}, func(r *rig) {
		told := func() int { return strings.Count(r.log.String(), "counters are no numbers") }
		r.settle()
		r.redis.spoil(counterOfKey(hash(0)), false)
		r.redis.spoil(counterOfKey(hash(1)), false)
		r.redis.spoil(counterOfKey(hash(2)), true)
		r.wait(time.Minute)
		for _, reason := range []counters.Reason{counters.Malformed, counters.WrongType} {
			if n := r.telemetry.errorsOf("redis " + string(reason)); n < 3 || n > 5 {
				t.Errorf("%s counted %d times, want once a cycle", reason, n)
			}
		}
		if !r.source(budget.Redis).Up || r.entity(hash(2)).Enforced.Known {
			t.Errorf("source %+v, entity %+v", r.source(budget.Redis), r.entity(hash(2)))
		}
		if log := r.log.String(); told() != 2 || !strings.Contains(log, "counter="+counterOfKey(min(hash(0), hash(1)))+" reason=malformed") ||
			!strings.Contains(log, "counter="+counterOfKey(hash(2))+" reason=wrongtype") {
			t.Errorf("the log names not one counter of each reason, once: %s", log)
		}
		for n := range 3 {
			r.redis.hold(counterOfKey(hash(n)), 2)
		}
		r.wait(30 * time.Second)
		r.redis.spoil(counterOfKey(hash(1)), true)
		r.wait(time.Minute)
		if told() != 3 {
			t.Errorf("told %d times, want it told again when it begins again: %s", told(), r.log)
		}
	})
}

func TestBufferOfAnotherTypeHidesItsLengthOnly(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
		r.redis.buffers = map[string]int64{"litellm_spend_logs_buffer": 4}
		r.redis.bufErr = redisDown(counters.WrongType)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.until("it is locked", 2*time.Minute, func() bool { return r.verdict(hash(1)) == budget.FalselyLocked })
		if b := r.Snapshot().BufferLengths; !r.source(budget.Redis).Up || b["litellm_spend_logs_buffer"] != 4 {
			t.Errorf("source %+v, lengths %v", r.source(budget.Redis), b)
		}
		if n := r.telemetry.errorsOf("redis wrongtype"); n < 2 {
			t.Errorf("counted %d times, want once a cycle", n)
		}
		if n := strings.Count(r.log.String(), "a transaction buffer is no list"); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
	})
}

func TestCountersAreReadWhileLiteLLMIsDown(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.redis.hold(counterOfKey(hash(1)), 2)
	}, func(r *rig) {
		r.settle()
		r.api.setDown(true)
		r.redis.hold(counterOfKey(hash(1)), 3)
		r.until("the counter is followed", 16*time.Second, func() bool { return r.entity(hash(1)).Counter.Value == 3 })
	})
}

func TestBufferLengthsAreShownOnceSeen(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.redis.buffers = map[string]int64{"litellm_spend_update_buffer": 0, "litellm_spend_logs_buffer": 0}
	}, func(r *rig) {
		r.settle()
		if n := len(r.Snapshot().BufferLengths); n != 0 {
			t.Errorf("%d buffers are shown before they were seen", n)
		}
		set := func(n int64) {
			r.redis.mu.Lock()
			defer r.redis.mu.Unlock()
			r.redis.buffers = map[string]int64{"litellm_spend_update_buffer": n, "litellm_spend_logs_buffer": 0}
		}
		set(5)
		r.wait(16 * time.Second)
		if b := r.Snapshot().BufferLengths; len(b) != 1 || b["litellm_spend_update_buffer"] != 5 {
			t.Errorf("shown: %v", b)
		}
		set(0)
		r.wait(16 * time.Second)
		if n, shown := r.Snapshot().BufferLengths["litellm_spend_update_buffer"]; !shown || n != 0 {
			t.Errorf("shown: %v", r.Snapshot().BufferLengths)
		}
		r.redis.mu.Lock()
		r.redis.bufErr = redisDown(counters.NoPerm)
		r.redis.mu.Unlock()
		r.wait(16 * time.Second)
		if len(r.Snapshot().BufferLengths) != 0 || !r.source(budget.Redis).Up {
			t.Errorf("no permission for the buffers: %v, %+v", r.Snapshot().BufferLengths, r.source(budget.Redis))
		}
	})
}

func TestNoSharedCounters(t *testing.T) {
	setup := func(r *rig) {
		for n := range 5 {
			r.api.key(n, 1, 1000)
		}
	}
	cause := func(r *rig) (shown, holds bool) {
		holds, shown = r.Snapshot().FleetCauses[budget.NoSharedCounters]
		return shown, holds
	}
	t.Run("spend rises and no counter is anywhere", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			r.settle()
			if shown, holds := cause(r); !shown || holds {
				t.Errorf("before anything rose: shown %v, holds %v", shown, holds)
			}
			for n := range 4 {
				r.wait(time.Minute)
				r.api.spend(hash(n), 2)
			}
			if _, holds := cause(r); !holds {
				t.Error("it does not hold")
			}
			r.wait(10 * time.Minute)
			if _, holds := cause(r); holds {
				t.Error("it holds long after the last rise")
			}
		})
	})
	t.Run("spend rises by a request now and then", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			r.settle()
			for n := range 20 {
				r.redis.set(counterOfKey(hash(0)), float64(n)) // lives for 60 s
				r.wait(12 * time.Second)
				r.api.spend(hash(0), float64(n))
				for range 30 {
					r.wait(6 * time.Second)
					if _, holds := cause(r); holds {
						t.Fatal("it holds although the counter was there when the request came")
					}
				}
			}
		})
	})
	t.Run("spend rose while Redis was down", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			r.redis.failing(redisDown(counters.Connection), nil)
			for n := range 4 {
				r.wait(time.Minute)
				r.api.spend(hash(n), 2)
			}
			r.redis.failing(nil, nil)
			r.until("it is judged again", 20*time.Second, func() bool { shown, _ := cause(r); return shown })
			if _, holds := cause(r); holds {
				t.Error("it holds, though nobody looked for counters")
			}
		})
	})
	t.Run("nothing rises", func(t *testing.T) {
		run(t, setup, func(r *rig) {
			r.wait(10 * time.Minute)
			if shown, holds := cause(r); !shown || holds {
				t.Errorf("shown %v, holds %v", shown, holds)
			}
		})
	})
	t.Run("without a Redis", func(t *testing.T) {
		run(t, func(r *rig) { setup(r); r.options.Counters = nil }, func(r *rig) {
			r.wait(3 * time.Minute)
			if shown, _ := cause(r); shown {
				t.Error("shown although no Redis is configured")
			}
		})
	})
}

func TestCountersAreReadInBoundedPortions(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.latency = 0
		for n := range countedAtOnce + 10 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("all were read", time.Minute, func() bool { return r.Snapshot().Fleets[budget.Key].CountersPresent.Known })
		reads := r.redis.reads()
		if len(reads) < 2 || reads[0] != countedAtOnce || reads[1] != 10 {
			t.Errorf("read portions of %v", reads)
		}
		r.redis.failing(redisDown(counters.Unavailable), func(name string) bool { return strings.Compare(name, "spend:key:8") < 0 })
		before := len(r.redis.reads())
		r.until("all are read although a node is lost", time.Minute, func() bool { return slices.Contains(r.redis.reads()[before:], 10) })
		r.redis.failing(redisDown(counters.Unavailable), nil)
		r.wait(time.Second) // for a cycle under way
		before = len(r.redis.reads())
		r.wait(time.Minute)
		if later := r.redis.reads()[before:]; len(later) == 0 || slices.Contains(later, 10) {
			t.Errorf("read portions of %v while Redis is lost", later)
		}
	})
}

func TestSumsOfBothSidesWaitUntilAllCountersWereRead(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = time.Second // the counters of the first pages are read meanwhile
		r.redis.latency = 5 * time.Second
		for n := range 1000 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the sweep is whole", 10*time.Minute, r.swept)
		if f := r.Snapshot().Fleets[budget.Key]; !r.source(budget.Redis).Up || f.EnforcedSum.Known || f.Entities != 1000 {
			t.Errorf("before the counters of all were read: %+v", f)
		}
		r.until("they are read", 30*time.Second, func() bool { return r.Snapshot().Fleets[budget.Key].EnforcedSum == budget.Some(1000.0) })
	})
}
