package poller

import (
	"context"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

func TestLiteLLMDown(t *testing.T) {
	for _, reason := range litellm.Reasons {
		t.Run(string(reason), func(t *testing.T) {
			run(t, func(r *rig) {
				r.api.key(1, 1, 10)
				r.redis.hold(counterOfKey(hash(1)), 2)
			}, func(r *rig) {
				r.settle()
				if !r.source(budget.LiteLLM).Up {
					t.Fatal("the source is not up to begin with")
				}
				r.api.failing(func(string, string) error { return apiError("/v2/team/list", reason) })
				r.until("the source is down", 65*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
				if n := r.telemetry.errorsOf("litellm " + string(reason)); n != 1 {
					t.Errorf("counted %d, want once a failed cycle", n)
				}
				if p := r.source(budget.LiteLLM).Problem; !strings.Contains(p, "/v2/team/list") {
					t.Errorf("the problem is %q", p)
				}
				if r.entity(hash(1)) == nil {
					t.Error("the last whole snapshot is not served")
				}
				r.until("all that it told disappears", 5*time.Minute, func() bool { return r.entity(hash(1)) == nil })
				if age := time.Since(r.source(budget.LiteLLM).LastSuccess.Value); age < 5*time.Minute {
					t.Errorf("it disappeared after %v", age)
				}
				if n := len(r.Snapshot().Fleets); n != 0 {
					t.Errorf("%d fleets of a stale source", n)
				}
				if n := strings.Count(r.log.String(), "reading a source failed"); n != 1 {
					t.Errorf("logged %d times, want once", n)
				}
				r.api.failing(nil)
				r.until("it is shown again", 7*time.Minute, func() bool { return r.entity(hash(1)) != nil && r.source(budget.LiteLLM).Up })
			})
		})
	}
}

func TestLiteLLMIsAskedLessOftenWhileItFails(t *testing.T) {
	for name, c := range map[string]struct {
		err           error
		least, most   int
		firstPauseMin time.Duration
	}{
		"a refusal":             {apiError("/v2/team/list", litellm.Unauthorized), 8, 20, 24 * time.Second},
		"trouble":               {apiError("/v2/team/list", litellm.ServerError), 50, 90, 4 * time.Second},
		"with a time to wait":   {&litellm.Error{Reason: litellm.RateLimited, RetryAfter: 15 * time.Minute}, 4, 5, 15 * time.Minute},
		"without an own budget": {apiError("/v2/team/list", litellm.OwnBudget), 8, 20, 24 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.api.fail = func(string, string) error { return c.err }
			}, func(r *rig) {
				r.wait(time.Hour)
				tries := r.api.sent("teams")
				if len(tries) < c.least || len(tries) > c.most {
					t.Errorf("%d tries in an hour, want %d to %d", len(tries), c.least, c.most)
				}
				if pause := tries[1].at.Sub(tries[0].at); pause < c.firstPauseMin {
					t.Errorf("the first pause is %v, want %v at least", pause, c.firstPauseMin)
				}
			})
		})
	}
}

func TestOtherLoopsLeaveAFailingLiteLLMAlone(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.api.failing(func(string, string) error { return apiError("/v2/team/list", litellm.Unauthorized) })
		r.until("the source is down", 65*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
		r.redis.hold(counterOfKey(hash(1)), 10.607) // would be read again and confirmed
		r.api.forgetCalls()
		r.wait(20 * time.Second)
		if sent := r.api.sent(""); len(sent) != 0 {
			t.Errorf("sent %v", sent)
		}
	})
}

func TestNewReasonIsLogged(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 1, 10) }, func(r *rig) {
		r.settle()
		for _, reason := range []litellm.Reason{litellm.Connection, litellm.DatabaseDown} {
			r.api.failing(func(string, string) error { return apiError("/v2/team/list", reason) })
			r.wait(5 * time.Minute)
		}
		if n := strings.Count(r.log.String(), "reading a source failed"); n != 2 {
			t.Errorf("logged %d times, want once for each reason: %s", n, r.log)
		}
	})
}

func TestWithoutARedisOnlyTheReportedSideIsKnown(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Counters = nil
		r.api.key(1, 1, 10)
	}, func(r *rig) {
		r.until("it is shown", time.Minute, r.swept)
		e, s := r.entity(hash(1)), r.Snapshot()
		if e.Reported != budget.Some(1.0) || e.Enforced.Known || e.Divergence.Known || e.LockJudged || e.Verdict != budget.NotJudged {
			t.Errorf("shown: %+v", e)
		}
		if _, configured := s.Sources[budget.Redis]; configured {
			t.Error("a source that is not configured is shown")
		}
		f := s.Fleets[budget.Key]
		if f.FalselyLocked.Known || f.EnforcedSum.Known || f.Diverging != nil || f.ReportedSum != budget.Some(1.0) {
			t.Errorf("fleet: %+v", f)
		}
		r.api.spend(hash(1), 2)
		r.until("the sweep follows the row", 65*time.Second, func() bool { return r.entity(hash(1)).Reported == budget.Some(2.0) })
	})
}

func TestReadyOnceEverySourceWasTried(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = time.Second
		r.api.key(1, 1, 10)
	}, func(r *rig) {
		synctestNotReady := r.Ready()
		r.until("ready", time.Minute, r.Ready)
		if synctestNotReady || r.entity(hash(1)) == nil || !r.entity(hash(1)).Enforced.Known {
			t.Error("ready before the first cycle")
		}
	})
}

// TestWhatWaitsForItsTurnIsHeldBack has the inventory be refused with a time to wait while a confirmation, which began
// before, rests until its lane may send again.
func TestWhatWaitsForItsTurnIsHeldBack(t *testing.T) {
	const asked = 10 * time.Minute
	run(t, func(r *rig) { r.api.key(1, 1, 10) }, func(r *rig) {
		r.settle()
		var refused, sent time.Time
		r.api.failing(func(string, string) error {
			if refused.IsZero() {
				refused = time.Now()
			}
			return &litellm.Error{Reason: litellm.RateLimited, RetryAfter: asked}
		})
		waits := func(send func()) {
			_, err := request(context.Background(), r.duty, confirmation, func(context.Context) (struct{}, error) {
				send()
				return struct{}{}, nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		waits(func() { time.Sleep(20 * time.Second) }) // the lane rests for 160 s now, the background for 80 s
		rested := time.Now().Add(140 * time.Second)
		waits(func() { sent = time.Now() })
		switch until := refused.Add(asked); {
		case refused.IsZero() || !refused.Before(rested):
			t.Errorf("refused at %v, want it before %v", refused, rested)
		case sent.Before(until):
			t.Errorf("sent %v before LiteLLM is to be asked again", until.Sub(sent))
		}
	})
}
