package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

// flush is after how long the fake LiteLLM writes a failed request to its log.
const flush = 10 * time.Second

// refuses makes LiteLLM log that it refused a request, now.
func (f *fakeLiteLLM) refuses(r refusals.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Request, r.At = uint64(len(f.refused)+1), time.Now()
	f.refused = append(f.refused, r)
}

// refusesKey is refuses of a key by its own cap of 10.
func (f *fakeLiteLLM) refusesKey(hash string, enforced float64) {
	f.refuses(refusals.Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: budget.Some(enforced), Cap: budget.Some(10.0)})
}

func (f *fakeLiteLLM) FailedRequests(ctx context.Context, from, to time.Time, page int) (litellm.FailurePage, error) {
	if err := f.serve(ctx, "failures", fmt.Sprintf("%d %v", page, to.Sub(from))); err != nil {
		return litellm.FailurePage{}, err
	}
	return f.failures(from, to, page, func(refusals.Refusal) bool { return true }), nil
}

func (f *fakeLiteLLM) FailedRequestsOf(ctx context.Context, _ budget.Release, id budget.ID, from, to time.Time) (litellm.FailurePage, error) {
	if err := f.serve(ctx, "failures of", id.Value); err != nil {
		return litellm.FailurePage{}, err
	}
	return f.failures(from, to, 1, func(r refusals.Refusal) bool { return r.Key == id.Value || r.ID == id.Value }), nil
}

func (f *fakeLiteLLM) failures(from, to time.Time, page int, wanted func(refusals.Refusal) bool) litellm.FailurePage {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []refusals.Refusal
	for _, r := range slices.Backward(f.refused) {
		if wanted(r) && time.Since(r.At) >= flush && !r.At.Before(from) && !r.At.After(to) {
			found = append(found, r)
		}
	}
	p := litellm.FailurePage{Page: page, TotalPages: (len(found) + litellm.PageSize - 1) / litellm.PageSize}
	first := min((page-1)*litellm.PageSize, len(found))
	p.Refusals = found[first:min(first+litellm.PageSize, len(found))]
	return p
}

// reportedSide is the set-up without a Redis, where refusals are read by themselves.
func reportedSide(r *rig) { r.options.Counters, r.options.Refusals = nil, refusals.Auto }

func (r *rig) observed(s budget.Scope) budget.RefusalCounts { return r.Snapshot().Refusals[s] }

// counted waits until refusals of keys were counted, and returns how.
func (r *rig) counted(n uint64) budget.RefusalCounts {
	r.t.Helper()
	r.until(fmt.Sprintf("%d refusals are counted", n), 20*time.Minute, func() bool {
		c := r.observed(budget.Key)
		return c.BelowCap+c.AtCap+c.Unknown == n
	})
	return r.observed(budget.Key)
}

func TestRefusalsAreCountedFromZero(t *testing.T) {
	run(t, reportedSide, func(r *rig) {
		r.until("they are read", time.Second, func() bool { return r.Snapshot().Refusals != nil })
		for _, scope := range refusals.Scopes {
			if c, there := r.Snapshot().Refusals[scope]; !there || c != (budget.RefusalCounts{}) {
				t.Errorf("%s: %+v, %v", scope, c, there)
			}
		}
	})
}

func TestRefusalsAreReadWhereTheyAreWanted(t *testing.T) {
	for _, c := range []struct {
		mode  refusals.Mode
		redis bool
		read  bool
	}{
		{refusals.Auto, false, true}, {refusals.Auto, true, false}, {refusals.On, false, true}, {refusals.On, true, true},
		{refusals.Off, false, false}, {refusals.Off, true, false},
	} {
		t.Run(fmt.Sprintf("%s, Redis %v", c.mode, c.redis), func(t *testing.T) {
			run(t, func(r *rig) {
				r.options.Refusals = c.mode
				if !c.redis {
					r.options.Counters = nil
				}
			}, func(r *rig) {
				r.wait(5 * time.Minute)
				s := r.Snapshot()
				if read := len(r.api.sent("failures")) > 0; read != c.read || (s.Refusals != nil) != c.read {
					t.Errorf("read %v, shown %v; want %v", read, s.Refusals, c.read)
				}
				if s.UnnamedRefusals.Known != (c.mode != refusals.Off) {
					t.Errorf("those in unknown words: %v", s.UnnamedRefusals)
				}
				if at := r.RefusalsReadAt(budget.ID{Scope: budget.Key, Value: hash(1)}); at.Known != c.read || c.read && time.Since(at.Value) > time.Minute {
					t.Errorf("read at %v", at)
				}
			})
		})
	}
}

// TestReportedSpendOneWriteLagAfterARefusal has what can be seen of the row of a key that was refused at its cap of 10.
func TestReportedSpendOneWriteLagAfterARefusal(t *testing.T) {
	below, reached, not := budget.RefusalCounts{BelowCap: 1}, budget.RefusalCounts{AtCap: 1}, budget.RefusalCounts{Unknown: 1}
	for name, c := range map[string]struct {
		after func(r *rig) // the refusal
		want  budget.RefusalCounts
	}{
		"still below the cap": {func(*rig) {}, below},
		"spend that was not written yet": {func(r *rig) {
			r.wait(70 * time.Second)
			r.api.spend(hash(1), 10.2)
		}, reached},
		"spend that is written too late to have been refused": {func(r *rig) {
			r.wait(3 * time.Minute)
			r.api.spend(hash(1), 10.2)
		}, below},
		"a reset with its next date": {func(r *rig) {
			r.wait(5 * time.Second)
			r.api.change(hash(1), func(row *budget.Row) { row.ResetAt = budget.Some(time.Now().Add(24 * time.Hour)) })
		}, not},
		"a reset to 0": {func(r *rig) {
			r.wait(5 * time.Second)
			r.api.spend(hash(1), 0)
		}, not},
		"a reset that the lifetime spend shows": {func(r *rig) {
			r.wait(5 * time.Second)
			r.api.change(hash(1), func(row *budget.Row) { row.Spend, row.TotalSpend = budget.Some(3.6), budget.Some(20.0) })
		}, not},
		"spend becomes unknown": {func(r *rig) {
			r.api.change(hash(1), func(row *budget.Row) { row.Spend = budget.Optional[float64]{} })
		}, not},
		"the key is deleted": {func(r *rig) { r.api.remove(hash(1)) }, not},
		"a cap that is raised does not matter": {func(r *rig) {
			r.api.change(hash(1), func(row *budget.Row) { row.MaxBudget, row.Spend = budget.Some(100.0), budget.Some(10.0) })
		}, reached},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				reportedSide(r)
				r.api.key(1, 3.536, 10)
				r.api.change(hash(1), func(row *budget.Row) { row.TotalSpend = budget.Some(13.536) })
			}, func(r *rig) {
				r.wait(90 * time.Second)
				r.api.refusesKey(hash(1), 10.607)
				c.after(r)
				if got := r.counted(1); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				r.wait(10 * time.Minute)
				if got := r.observed(budget.Key); got != c.want {
					t.Errorf("later %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// The row is read again singly when no sweep comes by; a key that is truly exhausted costs nothing once that is seen.
func TestRowOfARefusedKeyIsReadAWriteLagLater(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.key(1, 3.536, 10)
		r.api.key(2, 20, 10)
	}, func(r *rig) {
		r.wait(90 * time.Second)
		r.api.refusesKey(hash(1), 10.607)
		refused := time.Now()
		r.counted(1)
		for _, c := range r.api.sent("key") {
			if c.arg != hash(1) || c.at.Before(refused.Add(75*time.Second)) {
				t.Errorf("%v was read %v after the refusal; until the write lag is measured five times the assumed one has to pass", c.arg, c.at.Sub(refused))
			}
		}
		r.api.forgetCalls()
		for range 20 {
			r.api.refusesKey(hash(2), 20.1)
		}
		r.counted(21)
		if n := len(r.api.sent("key")); n != 0 {
			t.Errorf("an exhausted key was read %d times", n)
		}
	})
}

func TestMeasuredWriteLagIsWaitedForOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRig(t, func(*rig) {})
		r := refusals.Refusal{At: time.Now()}
		if d := p.settledAt(r).Sub(r.At); d != 75*time.Second {
			t.Errorf("settled after %v, not measured", d)
		}
		measure(p.judge, 40*time.Second)
		if d := p.settledAt(r).Sub(r.At); d != 40*time.Second {
			t.Errorf("settled after %v, measured", d)
		}
	})
}

// measure shows a judge entities whose rows follow their counters after a lag.
func measure(j *judgement.Judge, lag time.Duration) {
	start := time.Now()
	for n := range 30 {
		var track judgement.Track
		id := budget.ID{Scope: budget.Key, Value: hash(n)}
		row := func(at time.Duration, usd float64) {
			j.Row(&track, &budget.Row{ID: id, ReadAt: start.Add(at), Spend: budget.Some(usd)})
		}
		counter := func(at time.Duration, usd float64) {
			j.Counter(&track, budget.Counter{State: budget.CounterPresent, Value: usd, TTL: time.Minute, ReadAt: start.Add(at)}, nil)
		}
		row(0, 1)
		counter(0, 1)
		counter(15*time.Second, 2)
		counter(30*time.Second, 2)
		row(15*time.Second+lag, 1)
		row(16*time.Second+lag, 2)
	}
}

func TestWhatIsNoCapOfAKeyOrTeamIsUnknown(t *testing.T) {
	usd := budget.Some[float64]
	for name, c := range map[string]struct {
		r     refusals.Refusal
		scope budget.Scope
	}{
		"a time window": {refusals.Refusal{Scope: budget.Key, ID: hash(1), Key: hash(1), Window: "1d", Enforced: usd(2), Cap: usd(1)}, budget.Key},
		"a team's time window, by its name": {
			refusals.Refusal{Scope: budget.Team, ID: "t-1:1d", Own: true, Enforced: usd(2), Cap: usd(1)}, budget.Team,
		},
		"no cap is told":      {refusals.Refusal{Scope: budget.Key, ID: hash(1), Own: true, Enforced: usd(2)}, budget.Key},
		"a key nobody knows":  {refusals.Refusal{Scope: budget.Key, ID: hash(9), Own: true, Enforced: usd(2), Cap: usd(1)}, budget.Key},
		"a user":              {refusals.Refusal{Scope: refusals.User, ID: "u-1", Key: hash(1), Own: true, Enforced: usd(2), Cap: usd(1)}, refusals.User},
		"a team not named":    {refusals.Refusal{Scope: budget.Team, Own: true, Enforced: usd(2), Cap: usd(1)}, budget.Team},
		"an organization":     {refusals.Refusal{Scope: refusals.Organization, ID: "o", Own: true, Cap: usd(1)}, refusals.Organization},
		"a session, not told": {refusals.Refusal{Scope: refusals.Session, Cap: usd(1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				reportedSide(r)
				r.api.key(1, 0.5, 1)
				r.api.team("t-1", "Blue", 0.5, 1)
			}, func(r *rig) {
				r.wait(90 * time.Second)
				r.api.refuses(c.r)
				r.wait(10 * time.Minute)
				for _, scope := range refusals.Scopes {
					want := budget.RefusalCounts{}
					if scope == c.scope {
						want.Unknown = 1
					}
					if got := r.observed(scope); got != want {
						t.Errorf("%s: %+v, want %+v", scope, got, want)
					}
				}
			})
		})
	}
}

func TestWordsThatAreNotKnownAreLogged(t *testing.T) {
	run(t, reportedSide, func(r *rig) {
		r.wait(90 * time.Second)
		for range 5 {
			r.api.refuses(refusals.Refusal{Key: hash(1)})
		}
		r.wait(5 * time.Minute)
		if n := strings.Count(r.log.String(), "in words that do not tell whose budget it was"); n != 3 { // at 1, 2 and 4
			t.Errorf("said %d times:\n%s", n, r.log)
		}
		if n := r.Snapshot().UnnamedRefusals; n != budget.Some[uint64](5) {
			t.Errorf("counted %v", n)
		}
		for scope, c := range r.Snapshot().Refusals {
			if c != (budget.RefusalCounts{}) {
				t.Errorf("%s: %+v", scope, c)
			}
		}
	})
}

func TestEveryRefusalIsCountedOnce(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.key(1, 20, 10)
		r.api.team("t-1", "Blue", 20, 10)
	}, func(r *rig) {
		r.wait(90 * time.Second)
		for range 300 { // every second, over many windows, some of them of several pages
			r.api.refusesKey(hash(1), 20.1)
			r.api.refuses(refusals.Refusal{Scope: budget.Team, ID: "t-1", Own: true, Enforced: budget.Some(20.1), Cap: budget.Some(10.0)})
			r.wait(time.Second)
		}
		r.wait(5 * time.Minute)
		if k, team := r.observed(budget.Key), r.observed(budget.Team); k != (budget.RefusalCounts{AtCap: 300}) || team != k {
			t.Errorf("keys %+v, teams %+v", k, team)
		}
		for _, c := range r.api.sent("failures") {
			var page int
			var window string
			if _, err := fmt.Sscan(c.arg, &page, &window); err != nil {
				t.Fatal(err)
			}
			if d, err := time.ParseDuration(window); err != nil || d > 3*time.Minute+time.Second || page > refusals.MaxPages {
				t.Errorf("page %d of a window of %s was read", page, window)
			}
		}
	})
}

func TestNoMoreThanTenPagesAreReadAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.key(1, 20, 10)
	}, func(r *rig) {
		r.wait(90 * time.Second)
		for range 2000 {
			r.api.refusesKey(hash(1), 20.1)
		}
		r.wait(10 * time.Minute)
		if c := r.observed(budget.Key); c != (budget.RefusalCounts{AtCap: 1000}) {
			t.Errorf("counted %+v", c)
		}
		if !strings.Contains(r.log.String(), "more=true") {
			t.Error("the log does not say that some were passed over")
		}
	})
}

// What cannot be read of the log is missed by nothing else.
func TestFailuresOfTheLogLeaveTheSourceUp(t *testing.T) {
	for _, c := range []struct {
		reason  litellm.Reason
		quieted time.Duration // until LiteLLM is asked again
	}{{litellm.Forbidden, 10 * time.Minute}, {litellm.Timeout, 5 * time.Minute}} {
		t.Run(string(c.reason), func(t *testing.T) {
			run(t, func(r *rig) {
				reportedSide(r)
				r.api.key(1, 3, 10)
				r.api.fail = func(endpoint, _ string) error {
					if endpoint == "failures" {
						return apiError(endpoint, c.reason)
					}
					return nil
				}
			}, func(r *rig) {
				r.wait(c.quieted - time.Second)
				if n := len(r.api.sent("failures")); n != 1 || r.telemetry.errorsOf("litellm "+string(c.reason)) != 1 {
					t.Errorf("asked %d times", n)
				}
				if !r.source(budget.LiteLLM).Up || r.entity(hash(1)) == nil || r.Snapshot().Refusals != nil {
					t.Errorf("source %+v, refusals %v", r.source(budget.LiteLLM), r.Snapshot().Refusals)
				}
				r.api.refusesKey(hash(1), 11)
				r.api.failing(nil)
				if got := r.counted(1); got != (budget.RefusalCounts{BelowCap: 1}) {
					t.Errorf("once it can be read: %+v", got)
				}
			})
		})
	}
}

func TestRefusalsWaitWhileLiteLLMIsDown(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.key(1, 3, 10)
	}, func(r *rig) {
		r.wait(90 * time.Second)
		r.api.refusesKey(hash(1), 11)
		r.api.setDown(true)
		r.wait(4 * time.Minute)
		r.api.setDown(false)
		if got := r.counted(1); got != (budget.RefusalCounts{BelowCap: 1}) {
			t.Errorf("got %+v", got)
		}
		r.api.refusesKey(hash(1), 11)
		r.wait(70 * time.Second) // it is known of, and waits for its row
		r.api.setDown(true)
		if got := r.counted(2); got != (budget.RefusalCounts{BelowCap: 1, Unknown: 1}) {
			t.Errorf("with a row that cannot be read for too long: %+v", got)
		}
	})
}

func TestOffAsksForNothing(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.Off
		r.api.key(1, 3.536, 10)
	}, func(r *rig) {
		r.settle()
		r.redis.hold(counterOfKey(hash(1)), 10.607)
		r.wait(5 * time.Minute)
		if r.verdict(hash(1)) != budget.FalselyLocked || len(r.api.sent("failures of"))+len(r.api.sent("failures")) != 0 {
			t.Errorf("sent %v", r.api.sent(""))
		}
	})
}

func TestRefusalsKeepToTheDutyCycle(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.latency = 100 * time.Millisecond
		for n := range 50 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.wait(90 * time.Second)
		r.api.forgetCalls()
		for range 20 {
			for n := range 50 {
				r.api.refusesKey(hash(n), 11)
			}
			r.wait(15 * time.Second)
		}
		r.api.mu.Lock()
		busy := r.api.busy
		r.api.mu.Unlock()
		if ratio := busy.Seconds() / (5 * 60); ratio > 0.26 {
			t.Errorf("LiteLLM was busy for %.0f %% of the time", 100*ratio)
		}
		r.wait(20 * time.Minute)
		if c := r.observed(budget.Key); c != (budget.RefusalCounts{BelowCap: 1000}) {
			t.Errorf("counted %+v", c)
		}
	})
}

func TestRefusalsRespectWhatLiteLLMAsksFor(t *testing.T) {
	run(t, reportedSide, func(r *rig) {
		r.wait(90 * time.Second)
		r.api.failing(func(endpoint, _ string) error {
			if endpoint == "teams" {
				return &litellm.Error{Endpoint: endpoint, Status: 429, Reason: litellm.RateLimited, RetryAfter: 10 * time.Minute}
			}
			return nil
		})
		r.until("LiteLLM asks to wait", 2*time.Minute, func() bool { return !r.source(budget.LiteLLM).Up })
		r.api.forgetCalls()
		r.wait(9 * time.Minute)
		if sent := r.api.sent(""); len(sent) != 0 {
			t.Errorf("sent %v", sent)
		}
	})
}

// A key whose /key/info raises its window counters is not read for a refusal: a refusal moves no counter.
func TestReadingARefusedRowHasNoSideEffects(t *testing.T) {
	run(t, func(r *rig) {
		r.options.Refusals = refusals.On
		r.api.version = "1.109.1"
		r.api.key(1, 3.536, 10)
		r.api.change(hash(1), func(row *budget.Row) { row.Windows = []budget.Window{{Duration: "1d"}} })
		r.options.Keys = []string{hash(1)}
	}, func(r *rig) {
		r.wait(2 * time.Minute)
		r.api.forgetCalls()
		r.api.refusesKey(hash(1), 10.607)
		if got := r.counted(1); got != (budget.RefusalCounts{Unknown: 1}) {
			t.Errorf("got %+v", got)
		}
		if n := len(r.api.sent("key info")); n != 0 {
			t.Errorf("it was read %d times", n)
		}
	})
}

func TestLatestRefusalOfEachKindIsKept(t *testing.T) {
	run(t, func(r *rig) {
		reportedSide(r)
		r.api.key(1, 20, 10)
		r.api.team("t-1", "Blue", 20, 10)
		r.api.team("t-1:30d", "Named like a window", 20, 10)
	}, func(r *rig) {
		r.wait(90 * time.Second)
		for _, enforced := range []float64{20.1, 20.2} {
			r.api.refusesKey(hash(1), enforced)
			r.wait(2 * time.Minute)
		}
		if got := r.Refusals(budget.ID{Scope: budget.Key, Value: hash(1)}); len(got) != 1 || got[0].Enforced != budget.Some(20.2) {
			t.Errorf("of the key: %+v", got)
		}
		for _, id := range []string{"t-1:1d", "t-1:30d"} {
			r.api.refuses(refusals.Refusal{Scope: budget.Team, ID: id, Own: true, Cap: budget.Some(10.0)})
		}
		r.wait(2 * time.Minute)
		if got := r.Refusals(budget.ID{Scope: budget.Team, Value: "t-1"}); len(got) != 1 || got[0].Window != "1d" || got[0].Own {
			t.Errorf("of the team, by its window: %+v", got)
		}
		if got := r.Refusals(budget.ID{Scope: budget.Team, Value: "t-1:30d"}); len(got) != 1 || got[0].Window != "" || !got[0].Own {
			t.Errorf("of the team that is named like a window: %+v", got)
		}
		for n := range 20 {
			r.api.refuses(refusals.Refusal{Scope: refusals.Tag, ID: fmt.Sprint("tag ", n), Key: hash(1), Own: true})
		}
		r.wait(2 * time.Minute)
		if n := len(r.Refusals(budget.ID{Scope: budget.Key, Value: hash(1)})); n != keptOfEach {
			t.Errorf("%d are kept", n)
		}
	})
}

func TestWhatWaitsAndWhatIsKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRig(t, reportedSide)
		read := make([]refusals.Refusal, mostPending+50)
		for n := range read {
			id := hash(n)
			p.take(&budget.Row{ID: budget.ID{Scope: budget.Key, Value: id}, ReadAt: time.Now(), Spend: budget.Some(1.0)})
			read[n] = refusals.Refusal{Request: uint64(n), At: time.Now(), Scope: budget.Key, ID: id, Own: true, Cap: budget.Some(10.0)}
		}
		p.takeRefusals(read)
		if c := p.observed(budget.Key); c.Unknown != 50 || len(p.Poller.log.pending) != mostPending || len(p.Poller.log.latest) != keptEntities {
			t.Errorf("%+v, %d wait, %d are kept", c, len(p.Poller.log.pending), len(p.Poller.log.latest))
		}
	})
}

// TestWhatARowTellsOfARefusal has the readings of the row of a key with a cap of 10 that was refused at 0 s.
func TestWhatARowTellsOfARefusal(t *testing.T) {
	type reading struct {
		at  time.Duration
		usd float64 // 0: LiteLLM does not tell
	}
	for name, c := range map[string]struct {
		rows []reading
		want outcome
	}{
		"not read since": {[]reading{{-time.Minute, 3}}, waiting},
		"at the cap before, which may be of before a reset": {[]reading{{-time.Minute, 10}}, waiting},
		"not late enough":                    {[]reading{{-time.Minute, 3}, {74 * time.Second, 4}}, waiting},
		"late enough":                        {[]reading{{-time.Minute, 3}, {75 * time.Second, 4}}, belowCap},
		"at the cap already":                 {[]reading{{-time.Minute, 3}, {time.Second, 10}}, atCap},
		"at the cap but for float noise":     {[]reading{{-time.Minute, 3}, {time.Second, 10 - 1e-12}}, atCap},
		"above the cap":                      {[]reading{{-time.Minute, 3}, {75 * time.Second, 11}}, atCap},
		"reset since":                        {[]reading{{-time.Minute, 3}, {time.Second, 1}}, unknown},
		"reset before":                       {[]reading{{-2 * time.Minute, 30}, {-time.Minute, 3}, {75 * time.Second, 4}}, belowCap},
		"not told":                           {[]reading{{-time.Minute, 0}, {75 * time.Second, 0}}, unknown},
		"first seen later":                   {[]reading{{time.Second, 3}, {75 * time.Second, 4}}, unknown},
		"first seen later, and at the cap":   {[]reading{{time.Second, 12}}, unknown},
		"an older reading that arrives late": {[]reading{{-time.Minute, 3}, {75 * time.Second, 4}, {-30 * time.Second, 3.5}}, belowCap},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRig(t, reportedSide)
				time.Sleep(time.Hour)
				refused := time.Now()
				for _, r := range c.rows {
					p.take(&budget.Row{ID: budget.ID{Scope: budget.Key, Value: hash(1)}, ReadAt: refused.Add(r.at), Spend: budget.Optional[float64]{Value: r.usd, Known: r.usd != 0}})
				}
				r := refusals.Refusal{At: refused, Scope: budget.Key, ID: hash(1), Own: true, Cap: budget.Some(10.0)}
				if got := p.outcomeOf(r, refused.Add(2*time.Minute)); got != c.want {
					t.Errorf("got %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestResetBetween(t *testing.T) {
	at := func(s int) time.Time { return created.Add(time.Duration(s) * time.Second) }
	row := func(s int, spend, total float64, reset int) *budget.Row {
		r := &budget.Row{ReadAt: at(s), Spend: budget.Some(spend)}
		if total > 0 {
			r.TotalSpend = budget.Some(total)
		}
		if reset > 0 {
			r.ResetAt = budget.Some(at(reset).In(time.FixedZone("CET", 3600*(s%2))))
		}
		return r
	}
	unknownSpend := row(1, 0, 0, 0)
	unknownSpend.Spend = budget.Optional[float64]{}
	for name, c := range map[string]struct {
		before, now *budget.Row
		want        bool
	}{
		"the first reading":               {nil, row(0, 3, 0, 0), false},
		"nothing happened":                {row(0, 3, 9, 100), row(1, 3, 9, 100), false},
		"spend":                           {row(0, 3, 9, 100), row(1, 4.1, 10.1, 100), false},
		"a reset to 0":                    {row(0, 3, 0, 0), row(1, 0, 0, 0), true},
		"a reset, and as much spent":      {row(0, 3, 9, 0), row(1, 3, 12, 0), true},
		"a reset that moved its date":     {row(0, 3, 0, 100), row(1, 3.5, 0, 200), true},
		"a date that came":                {row(0, 3, 0, 0), row(1, 3, 0, 200), true},
		"a date that went":                {row(0, 3, 0, 100), row(1, 3, 0, 0), true},
		"readings in the wrong order":     {row(1, 3, 0, 0), row(0, 2, 0, 0), false},
		"spend that is not told any more": {row(0, 3, 0, 0), unknownSpend, true},
	} {
		if got := resetBetween(c.before, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFalseRefusalsAreToldOfTheirBudget has a client try again and again: the newest refusal is never old enough to be
// settled, and yet it is known that the budget refused falsely.
func TestFalseRefusalsAreToldOfTheirBudget(t *testing.T) {
	run(t, reportedSide, func(r *rig) {
		locked, exhausted := r.api.key(1, 3.536, 10), r.api.key(2, 10.25, 10)
		r.until("the keys are known", 2*time.Minute, func() bool { return r.entity(locked) != nil && r.entity(exhausted) != nil })
		first := time.Now()
		of := func(hash string) (last refusals.Refusal) {
			for _, known := range r.Refusals(budget.ID{Scope: budget.Key, Value: hash}) {
				last = known
			}
			return last
		}
		told := false
		for range 60 {
			r.api.refusesKey(locked, 10.607)
			r.api.refusesKey(exhausted, 10.25)
			r.wait(10 * time.Second)
			if told && !of(locked).FalseAt.Known {
				t.Fatal("it was told, and is forgotten")
			}
			told = of(locked).FalseAt.Known
		}
		if l := of(locked); !l.FalseAt.Known || l.FalseAt.Value.Before(first) || !l.FalseAt.Value.Before(l.At) {
			t.Errorf("the locked key's: %+v, want one before it to have been false", l)
		}
		if e := of(exhausted); e.FalseAt.Known {
			t.Errorf("that of the key that has spent it all is called false: %+v", e)
		}
	})
}
