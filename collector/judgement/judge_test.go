package judgement

import (
	"math"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var params = Params{ToleranceUSD: 0.01, ToleranceRatio: 0.01, WriteLag: 15 * time.Second, CounterInterval: 15 * time.Second}

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// story is the readings of one entity, told one after the other.
type story struct {
	t     *testing.T
	judge *Judge
	track Track
	base  budget.Row
}

// tell begins the story of a key with a cap of 10 under a release.
func tell(t *testing.T, release string, change ...func(*budget.Row)) *story {
	t.Helper()
	s := &story{t: t, judge: New(params), base: budget.Row{
		ID: budget.ID{Scope: budget.Key, Value: "k"}, MaxBudget: budget.Some(10.0), Link: budget.BudgetLink{State: budget.LinkNone},
	}}
	s.judge.SetRelease(budget.ReleaseOf(release))
	for _, c := range change {
		c(&s.base)
	}
	return s
}

// writtenSoon has the deployment be one of which it is known that it writes spend within the assumed write lag.
func (s *story) writtenSoon() *story {
	s.judge.lag.measured = budget.Some(time.Second)
	return s
}

func (s *story) row(seconds, spend float64) *story {
	r := s.base
	r.ReadAt, r.Spend = at(seconds), budget.Some(spend)
	s.judge.Row(&s.track, &r)
	return s
}

func (s *story) counter(seconds, value float64) *story {
	return s.reading(budget.Counter{State: budget.CounterPresent, Value: value, TTL: time.Minute, ReadAt: at(seconds)})
}

func (s *story) cold(seconds float64) *story {
	return s.reading(budget.Counter{State: budget.CounterAbsent, ReadAt: at(seconds)})
}

func (s *story) reading(c budget.Counter) *story {
	s.judge.Counter(&s.track, c, nil)
	return s
}

// pair is what a confirmation reads: the row and right after it the counter.
func (s *story) pair(seconds, reported, counter float64) *story {
	return s.row(seconds, reported).counter(seconds+0.1, counter)
}

func (s *story) verdict(want budget.Verdict) *story {
	s.t.Helper()
	if got := s.track.Entity().Verdict; got != want {
		s.t.Fatalf("verdict %q, want %q: %+v", got, want, *s.track.Entity())
	}
	return s
}

func (s *story) suspected(want budget.Verdict) *story {
	s.t.Helper()
	if got, _ := s.track.Suspicion(); got.Verdict != want {
		s.t.Fatalf("suspicion of %q, want %q", got.Verdict, want)
	}
	return s
}

func (s *story) episodes(locked, bypassed uint64) *story {
	s.t.Helper()
	got := s.judge.Totals(budget.Key)
	if got.FalselyLockedEpisodes != locked || got.BypassedEpisodes != bypassed {
		s.t.Fatalf("%d episodes of false lock and %d of bypass, want %d and %d",
			got.FalselyLockedEpisodes, got.BypassedEpisodes, locked, bypassed)
	}
	return s
}

func TestLockIsConfirmedOneWriteLagLater(t *testing.T) {
	s := tell(t, "1.84.0").row(0, 3.536).counter(1, 3.536).verdict(budget.OK)
	s.cold(16).counter(31, 10.607).verdict(budget.OK).suspected(budget.FalselyLocked)
	if due, _ := s.track.Suspicion(); due.DueAt != at(46) {
		t.Errorf("due at %v", due.DueAt)
	}
	s.pair(40, 3.536, 10.607).verdict(budget.OK).episodes(0, 0)
	s.row(46, 3.536).verdict(budget.OK).counter(46.1, 10.607).verdict(budget.FalselyLocked).suspected(budget.NotJudged).episodes(1, 0)
	e := s.track.Entity()
	if !e.LockJudged || e.FalselyLockedLast.Value != at(46.1) || e.Cause != budget.ReseedMultiple || !e.Divergence.Known {
		t.Errorf("%+v", *e)
	}
	s.counter(60, 10.607)
	if got := s.judge.Totals(budget.Key).FalselyLockedTime; got != 29*time.Second {
		t.Errorf("%v falsely locked, want the time from the first reading", got)
	}
	s.counter(75, 3.536).verdict(budget.OK).episodes(1, 0)
}

func TestVerdictEndsWithEitherSource(t *testing.T) {
	locked := func() *story {
		return tell(t, "1.84.0").pair(0, 3, 3).pair(15, 3, 3).cold(30).counter(45, 12).pair(60, 3, 12).verdict(budget.FalselyLocked)
	}
	locked().row(61, 11).verdict(budget.OK)
	locked().counter(61, 3).verdict(budget.OK)
	locked().cold(61).verdict(budget.OK)
	raised := locked()
	raised.base.MaxBudget = budget.Some(20.0)
	raised.row(61, 3).verdict(budget.OK)
}

func TestNobodyEntersWhileASourceFails(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).counter(30, 12)
	s.judge.SetEntering(false)
	s.pair(45, 3, 12).verdict(budget.OK).pair(120, 3, 12).verdict(budget.OK)
	s.judge.SetEntering(true)
	s.pair(121, 3, 12).verdict(budget.FalselyLocked)
	s.judge.SetEntering(false)
	s.counter(130, 12).verdict(budget.FalselyLocked).counter(145, 3).verdict(budget.OK)
}

func TestAPairFarApartGivesNoVerdict(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).counter(30, 12)
	s.row(45, 3).counter(61, 12).verdict(budget.OK).suspected(budget.FalselyLocked)
	s.pair(62, 3, 12).verdict(budget.FalselyLocked)
}

func TestFirstSeenLocked(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3.536, 10.607).verdict(budget.NotJudged)
	if s.track.Entity().LockJudged {
		t.Error("a 0 is shown before the first judgement")
	}
	s.pair(15.2, 3.536, 10.607).verdict(budget.FalselyLocked)
}

func TestGenuineExhaustionUnderASlowFlush(t *testing.T) {
	// The row is flushed once a minute; the counter rises to the cap and is refused there until the flush.
	s := tell(t, "1.84.0").pair(0, 2, 2)
	for i := 1; i <= 4; i++ {
		s.pair(float64(15*i)-1, 2, 2+2*float64(i))
	}
	s.verdict(budget.OK).suspected(budget.NotJudged).episodes(0, 0)
	s.pair(70, 2, 10).verdict(budget.OK).pair(80, 10, 10).verdict(budget.OK).pair(95, 10, 10).verdict(budget.OK).pair(200, 10, 10).verdict(budget.OK)
	s.episodes(0, 0)
}

// A budget that its key has truly spent refuses from the first request after a pause on, and the row tells of it one flush
// later.
func TestABudgetSpentAfterAPauseIsNoFalseLock(t *testing.T) {
	begin := func() *story {
		return tell(t, "1.84.0").pair(0, 9.95, 9.95).cold(15).counter(30, 10.05).suspected(budget.FalselyLocked)
	}
	due := func(s *story, want time.Time) {
		t.Helper()
		if got, _ := s.track.Suspicion(); !got.DueAt.Equal(want) {
			t.Errorf("due at %v, want %v", got.DueAt, want)
		}
	}
	t.Run("the row follows", func(t *testing.T) {
		s := begin()
		due(s, at(105))
		s.pair(46, 9.95, 10.05).verdict(budget.OK).pair(88, 10.05, 10.05).verdict(budget.OK).suspected(budget.NotJudged)
	})
	t.Run("the row does not follow", func(t *testing.T) {
		begin().pair(46, 9.95, 10.05).verdict(budget.OK).pair(105, 9.95, 10.05).verdict(budget.FalselyLocked).episodes(1, 0)
	})
	t.Run("the counter expires before", func(t *testing.T) {
		begin().cold(90).row(104, 9.95).episodes(0, 0).row(105, 9.95).episodes(1, 0)
	})
	t.Run("first seen a little over the budget", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 9.6, 10.3)
		due(s, at(75))
		s.pair(46, 9.6, 10.3).verdict(budget.NotJudged).pair(76, 9.6, 10.3).verdict(budget.FalselyLocked)
	})
	t.Run("too much to be spent so fast", func(t *testing.T) {
		s := tell(t, "1.109.1").pair(0, 4.9, 4.9).cold(15).counter(30, 10.3)
		due(s, at(45))
		s.pair(46, 4.9, 10.3).verdict(budget.FalselyLocked)
	})
	t.Run("first seen far over it", func(t *testing.T) {
		tell(t, "1.84.0").pair(0, 7, 10.3).pair(16, 7, 10.3).verdict(budget.FalselyLocked)
	})
	t.Run("two copies of half a budget", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 5, 5).cold(15).counter(30, 10)
		due(s, at(45))
	})
	t.Run("it diverged for long before", func(t *testing.T) {
		s := tell(t, "1.84.0")
		for sec := 0.0; sec < 120; sec += 15 {
			s.pair(sec, 6, 9.9)
		}
		s.verdict(budget.Diverging).pair(120, 6, 10.01)
		if s.judge.behind.measured.Known || s.track.Entity().Verdict != budget.Diverging {
			t.Fatal("not as it is meant")
		}
		s.pair(210, 6, 10.01).pair(226, 6, 10.01).verdict(budget.FalselyLocked)
	})
	t.Run("bypassed", func(t *testing.T) {
		tell(t, "1.84.0").pair(0, 10.2, 10.2).cold(15).counter(30, 9.9).suspected(budget.Bypassed).pair(46, 10.2, 9.9).verdict(budget.Bypassed)
	})
}

// What came back with a counter was in the row; what the counter rose by since is other spend, and has its own time.
func TestARiseThatTheRowFollowedWasNotWrong(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).pair(0, 1, 1).cold(15).counter(30, 1.47)
	s.counter(45, 1.52).row(45.1, 1.47)
	for sec := 60.0; sec <= 165; sec += 15 {
		s.pair(sec, 1.47, 1.52).verdict(budget.OK)
	}
}

func TestSpendThatIsNeverWrittenIsNoWriteLagForEver(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).pair(14, 3, 12).verdict(budget.OK).suspected(budget.NotJudged)
	s.pair(80, 3, 12).verdict(budget.OK).pair(91, 3, 12).suspected(budget.FalselyLocked).pair(106.2, 3, 12).verdict(budget.FalselyLocked)
}

func TestBypass(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 17, 6).verdict(budget.NotJudged).suspected(budget.Bypassed)
	s.pair(16, 17, 6).verdict(budget.Bypassed).episodes(0, 1)
	if e := s.track.Entity(); e.Divergence.Value != -11 || !e.BypassedLast.Known {
		t.Errorf("%+v", *e)
	}
	s.pair(31, 17, 17).verdict(budget.OK)
}

func TestStaleLowCounterIsNoBypassWhereLiteLLMRaisesIt(t *testing.T) {
	s := tell(t, "1.90.0").pair(0, 17, 6).verdict(budget.OK).pair(16, 17, 6).verdict(budget.OK)
	if got := s.track.Entity().Enforced; got != budget.Some(17.0) {
		t.Errorf("enforced %v, want the reported spend", got)
	}
}

func TestStaleLowCounterThatGoesOnRisingIsABypass(t *testing.T) {
	s := tell(t, "1.90.0").pair(0, 17, 1)
	for i := 1; i <= 6; i++ {
		s.pair(15*float64(i), 17, 1+0.5*float64(i)).verdict(budget.OK)
	}
	s.suspected(budget.Bypassed)
	s.pair(106, 17, 4.5).verdict(budget.Bypassed)
}

func TestExpiredLockCountsAfterwards(t *testing.T) {
	story := func() *story {
		return tell(t, "1.84.0").pair(0, 3, 3).cold(15).counter(30, 12).suspected(budget.FalselyLocked)
	}
	t.Run("row still under the budget", func(t *testing.T) {
		s := story().cold(40).suspected(budget.FalselyLocked).row(44, 3).episodes(0, 0).row(45, 3).episodes(1, 0).verdict(budget.OK)
		if e := s.track.Entity(); e.FalselyLockedLast != budget.Some(at(30)) {
			t.Errorf("last shown at %v", e.FalselyLockedLast)
		}
	})
	t.Run("seeded anew between two readings", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 3, 3).cold(15)
		s.reading(budget.Counter{State: budget.CounterPresent, Value: 12, TTL: 8 * time.Second, ReadAt: at(30)}).suspected(budget.FalselyLocked)
		s.counter(45, 3).suspected(budget.FalselyLocked).row(45.1, 3).episodes(1, 0).suspected(budget.NotJudged)
	})
	t.Run("fell before it could expire", func(t *testing.T) { story().counter(45, 3).row(45.1, 3).episodes(0, 0) })
	t.Run("seeded anew to the same", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 3, 3).cold(15)
		s.reading(budget.Counter{State: budget.CounterPresent, Value: 12, TTL: 8 * time.Second, ReadAt: at(30)})
		s.pair(45, 3, 12).verdict(budget.FalselyLocked).episodes(1, 0).row(46, 3).episodes(1, 0)
	})
	t.Run("row at the budget", func(t *testing.T) { story().cold(40).row(45, 10).episodes(0, 0) })
	t.Run("reset", func(t *testing.T) { story().cold(40).row(45, 0).episodes(0, 0) })
	t.Run("reset date moved", func(t *testing.T) {
		s := story().cold(40)
		s.base.ResetAt = budget.Some(at(3600))
		s.row(45, 3).episodes(0, 0)
	})
}

func TestPinnedAtCap(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 9.9999999999).pair(46, 3, 9.9999999999).verdict(budget.FalselyLocked)
	if e := s.track.Entity(); e.Cause != budget.PinnedAtCap || e.FalselyLockedLast.Known {
		t.Errorf("%+v", *e)
	}
	s.episodes(0, 0)
	for i := 4; i < 42; i++ {
		s.pair(15*float64(i), 3, 10)
	}
	s.episodes(0, 0).pair(631, 3, 10).episodes(1, 0).verdict(budget.FalselyLocked)
	if !s.track.Entity().FalselyLockedLast.Known {
		t.Error("pinned for ten minutes does not count")
	}

	s = tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 10).pair(46, 3, 10).verdict(budget.FalselyLocked)
	for i := 4; i < 80; i++ { // requests settle: the row goes on rising
		s.pair(15*float64(i), 3+0.01*float64(i), 10)
	}
	s.verdict(budget.FalselyLocked).episodes(0, 0)
	s.pair(1200, 3.9, 10.01).verdict(budget.FalselyLocked).episodes(0, 0) // a small request cost more than was reserved for it
	s.pair(1215, 4, 10.5).verdict(budget.FalselyLocked).episodes(1, 0)
}

// The request that had reserved what was left cost more: what is above the cap then was spent, and what else is ahead of the row
// is on its way to it.
func TestOverfilledByTheRequestThatWasShrunk(t *testing.T) {
	filled := func() *story {
		s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 10).pair(46, 3.2, 10).pair(60, 3.5, 10)
		return s.pair(75, 3.5, 10.4).verdict(budget.FalselyLocked).episodes(0, 0)
	}
	cause := func(s *story, want budget.Cause) {
		t.Helper()
		if e := s.track.Entity(); e.Cause != want {
			t.Errorf("cause %q, want %q: %+v", e.Cause, want, *e)
		}
	}
	s := filled()
	cause(s, budget.PinnedAtCap)
	s.pair(90, 3.6, 10.4).episodes(0, 0)
	s.pair(105, 3.6, 11).episodes(1, 0) // by more than was spent

	s = filled()
	for sec := 90.0; sec <= 120; sec += 15 {
		s.pair(sec, 3.5, 10.4).episodes(0, 0)
	}
	s.pair(135, 3.5, 10.4).verdict(budget.FalselyLocked).episodes(1, 0) // the row has stood still for longer than spend takes

	s = filled()
	s.base.MaxBudget = budget.Some(9.9)
	s.pair(90, 3.6, 10.4).episodes(1, 0) // that the counter was at the old cap says nothing of the new one

	s = filled().pair(90, 3.6, 9).verdict(budget.OK)
	s.pair(105, 3.6, 10.4).pair(121, 3.6, 10.4).pair(137, 3.6, 10.4).episodes(1, 0) // nor was it there just before
}

func TestACounterLeftAtTheCapByAResetIsALockAtOnce(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 10, 10).pair(15, 10, 10)
	s.pair(30, 0, 10).suspected(budget.FalselyLocked).pair(46, 0, 10).verdict(budget.FalselyLocked).episodes(1, 0)
	if e := s.track.Entity(); e.Cause != budget.StaleAfterReset || !e.FalselyLockedLast.Known {
		t.Errorf("%+v", *e)
	}
}

func TestDivergingAfterAMinuteOfReadings(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15)
	for sec := 30.0; sec < 105; sec += 15 { // for 75 s it may be spend on its way to the row
		s.pair(sec, 3, 6).verdict(budget.OK)
	}
	s.pair(106, 3, 6).verdict(budget.Diverging)
	if !s.track.Watched() {
		t.Error("a diverging row is not read again")
	}
	s.counter(110, 3).verdict(budget.OK)

	t.Run("below the row", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 9, 9).cold(15)
		for sec := 30.0; sec < 90; sec += 15 {
			s.pair(sec, 9, 6).verdict(budget.OK)
		}
		s.pair(91, 9, 6).verdict(budget.Diverging)
	})
	t.Run("not if one reading is right", func(t *testing.T) {
		tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 6).pair(60, 3, 3).pair(75, 3, 6).pair(91, 3, 6).verdict(budget.OK)
	})
	t.Run("not below the fraction of spend", func(t *testing.T) {
		s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1e6) }).pair(0, 1000, 1000).cold(15)
		s.pair(30, 1000, 1005).pair(60, 1000, 1005).pair(120, 1000, 1005).verdict(budget.OK)
	})
	t.Run("without a cap too", func(t *testing.T) {
		s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Optional[float64]{} }).pair(0, 3, 3).cold(15)
		s.pair(30, 3, 60).pair(106, 3, 60).verdict(budget.Diverging)
		if s.track.Entity().LockJudged {
			t.Error("an entity without a cap is judged as locked or not")
		}
	})
}

func TestOddCounters(t *testing.T) {
	immortal := func(sec float64) budget.Counter {
		return budget.Counter{State: budget.CounterPresent, Value: 3, TTL: budget.NoExpiry, ReadAt: at(sec)}
	}
	s := tell(t, "1.84.0").row(0, 3).reading(immortal(1)).verdict(budget.OK).reading(immortal(16)).verdict(budget.Diverging)
	if s.track.Entity().Cause != budget.Immortal {
		t.Errorf("cause %q", s.track.Entity().Cause)
	}
	s.counter(31, 3).verdict(budget.OK)

	s = tell(t, "1.84.0").row(0, 3).counter(1, -0.5).verdict(budget.Diverging)
	if s.track.Entity().Cause != budget.Negative {
		t.Errorf("cause %q", s.track.Entity().Cause)
	}
	if s = tell(t, "1.109.1").row(0, -2).counter(1, -2).verdict(budget.Diverging); s.track.Entity().Cause != budget.Negative {
		t.Errorf("cause %q", s.track.Entity().Cause)
	}
}

func TestNotJudged(t *testing.T) {
	for name, change := range map[string]func(*budget.Row){
		"blocked":   func(r *budget.Row) { r.Blocked = true },
		"expired":   func(r *budget.Row) { r.Expires = budget.Some(at(-1)) },
		"throttled": func(r *budget.Row) { r.Throttled = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, "1.84.0", change).pair(0, 3, 12).pair(20, 3, 12).pair(90, 3, 12).verdict(budget.NotJudged)
			e := s.track.Entity()
			if e.LockJudged || e.Enforced != budget.Some(12.0) || e.Reported != budget.Some(3.0) || e.Divergence != budget.Some(9.0) {
				t.Errorf("%+v", *e)
			}
		})
	}
	t.Run("cap of 0", func(t *testing.T) {
		s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(0.0) }).pair(0, 0, 0).pair(20, 0, 0).verdict(budget.OK)
		if !s.track.Entity().LockJudged {
			t.Error("a cap of 0 shows no 0")
		}
		s.pair(40, -1, 5).suspected(budget.NotJudged)
	})
	t.Run("cap unknown", func(t *testing.T) {
		s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget, r.Link = budget.Optional[float64]{}, budget.BudgetLink{} })
		s.pair(0, 3, 12).pair(20, 3, 12)
		if e := s.track.Entity(); e.LockJudged || e.Cap.State != budget.CapUnknown {
			t.Errorf("%+v", *e)
		}
	})
	t.Run("reported unknown", func(t *testing.T) {
		s := tell(t, "1.84.0")
		r := s.base
		r.ReadAt = at(0)
		s.judge.Row(&s.track, &r)
		s.counter(1, 12).verdict(budget.NotJudged)
		if e := s.track.Entity(); e.Divergence.Known || e.LockJudged || e.Enforced != budget.Some(12.0) {
			t.Errorf("%+v", *e)
		}
	})
	t.Run("counter unreadable", func(t *testing.T) {
		s := tell(t, "1.84.0").pair(0, 3, 3).verdict(budget.OK).reading(budget.Counter{State: budget.CounterUnreadable, ReadAt: at(15)}).verdict(budget.NotJudged)
		if e := s.track.Entity(); e.Enforced.Known || e.LockJudged {
			t.Errorf("%+v", *e)
		}
	})
}

func TestTemporaryIncreaseInDoubt(t *testing.T) {
	increase := func(r *budget.Row) {
		r.TempIncrease = budget.TemporaryIncrease{USD: 5, ExpiresAt: at(3600), NoZone: true}
	}
	s := tell(t, "1.84.0", increase).pair(0, 3, 12).pair(20, 3, 12).verdict(budget.NotJudged)
	if e := s.track.Entity(); e.LockJudged || e.Cap.Exact().Known {
		t.Errorf("%+v", *e)
	}
	tell(t, "1.84.0", increase).pair(0, 3, 15.5).pair(20, 3, 15.5).verdict(budget.FalselyLocked)
}

func TestBurnRateWidensTheTolerance(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).writtenSoon()
	for i := range 10 { // a dollar a second, the row 15 s behind
		s.pair(15*float64(i), 15*float64(max(0, i-1)), 15*float64(i)).verdict(budget.OK)
	}
	got := s.track.Entity().Tolerance.Value
	if math.Abs(got-15.11) > 1 {
		t.Errorf("tolerance %v, want about one write lag of spend and the floor", got)
	}
}

func TestARiseThatTheRowDoesNotFollowIsNoBurn(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.MaxBudget = budget.Some(1000.0) }).pair(0, 3, 3).pair(10, 3, 100)
	if got := s.track.Entity().Tolerance.Value; got < 20 {
		t.Errorf("tolerance %v: a rise of a live counter is burn until the row had time to follow", got)
	}
	s.pair(86, 3, 100)
	if got := s.track.Entity().Tolerance.Value; got > 0.02 {
		t.Errorf("tolerance %v", got)
	}
}

func TestFirstValueAfterAnAbsenceIsNoBurn(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 9)
	if got := s.track.Entity().Tolerance; got != budget.Some(0.01) {
		t.Errorf("tolerance %v", got)
	}
	s = tell(t, "1.84.0").row(0, 3)
	s.reading(budget.Counter{State: budget.CounterPresent, Value: 3, TTL: 10 * time.Second, ReadAt: at(0)})
	s.counter(15, 9)
	if got := s.track.Entity().Tolerance.Value; got > 0.02 {
		t.Errorf("tolerance %v: the counter could have expired in between", got)
	}
}

func TestWriteLagIsMeasured(t *testing.T) {
	j := New(params)
	for i := range 2 * enoughLags {
		var tr Track
		read := func(sec, spend float64) {
			j.Row(&tr, &budget.Row{ID: budget.ID{Scope: budget.Key, Value: "k"}, ReadAt: at(sec), Spend: budget.Some(spend)})
		}
		count := func(sec, v float64) {
			j.Counter(&tr, budget.Counter{State: budget.CounterPresent, Value: v, TTL: time.Minute, ReadAt: at(sec)}, nil)
		}
		read(0, 1)
		count(1, 1)
		count(6, 2)
		count(11, 2)
		for sec := 7.0; sec < 47; sec += 5 {
			read(sec, 1)
		}
		if known := j.WriteLag().Known; known != (i >= enoughLags) {
			t.Fatalf("after %d samples: known %v", i, known)
		}
		read(47, 2)
	}
	if got := j.WriteLag(); got != budget.Some(36*time.Second) {
		t.Errorf("write lag %v, want from the counter at rest (6 s) to the last row without it (42 s)", got)
	}
}

func TestAWriteLagShorterThanTheReadingIntervalsIsMeasuredToo(t *testing.T) {
	j := New(params)
	for range enoughLags {
		s := story{t: t, judge: j}
		s.row(0, 1).counter(1, 1).counter(16, 2).row(17, 2).counter(31, 2).row(32, 2)
	}
	if got := j.WriteLag(); got != budget.Some(time.Duration(0)) {
		t.Errorf("write lag %v", got)
	}
	j = New(params)
	for range enoughLags { // a row that is ahead tells nothing of it
		s := story{t: t, judge: j}
		s.row(0, 5).counter(1, 1).counter(16, 2).row(17, 5).counter(31, 2).row(32, 5)
	}
	if got := j.WriteLag(); got.Known {
		t.Errorf("write lag %v", got)
	}
}

// What is exempt as spend on its way is so for as long as the slowest took, reading intervals included, whatever most take.
func TestTheSlowestFlushCounts(t *testing.T) {
	j := New(params)
	for range 2 * enoughLags {
		j.lag.add(2 * time.Second)
	}
	j.lag.add(25 * time.Second)
	if got := j.unwrittenFor(); got != 40*time.Second {
		t.Errorf("%v", got)
	}
	j.lag.add(5 * time.Minute) // the database was down
	if got := j.unwrittenFor(); got != 75*time.Second {
		t.Errorf("%v", got)
	}
}

func TestObservedSpend(t *testing.T) {
	s := tell(t, "1.84.0").row(0, 5)
	if got := s.track.Entity().Observed; got != 0 {
		t.Errorf("%v observed at first sight", got)
	}
	s.row(60, 7).row(120, 0).row(180, 1.5)
	if got := s.track.Entity().Observed; got != 3.5 {
		t.Errorf("observed %v, want 3.5: a reset adds nothing", got)
	}
	before, now := s.base, s.base
	before.Spend, before.TotalSpend = budget.Some(5.0), budget.Some(20.0)
	now.Spend, now.TotalSpend = budget.Some(1.0), budget.Some(22.0)
	if got := observedRise(&before, &now); got != 2 {
		t.Errorf("observed %v of total_spend, want 2", got)
	}
}

func TestCounterMoved(t *testing.T) {
	s := tell(t, "1.84.0").row(0, 3).counter(1, 3)
	moved := func(want bool) {
		t.Helper()
		if s.judge.CounterMoved(&s.track) != want {
			t.Errorf("moved: %v", !want)
		}
	}
	moved(true)
	s.row(16, 3)
	moved(false)
	s.counter(20, 3)
	moved(false)
	s.counter(35, 4)
	moved(true)
	s.row(40, 3)
	moved(true)
	s.row(50, 4)
	moved(false)
	s.cold(110)
	moved(true)

	s = tell(t, "1.84.0").row(0, 3).cold(1)
	moved(false)
}

func TestAnOlderRowIsIgnored(t *testing.T) {
	s := tell(t, "1.84.0").row(60, 5).row(30, 4)
	if got := s.track.Entity().Reported; got != budget.Some(5.0) {
		t.Errorf("reported %v", got)
	}
}

func TestRefresh(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) { r.Expires = budget.Some(at(100)) }).pair(0, 3, 3).cold(15).pair(30, 3, 12).pair(46, 3, 12).verdict(budget.FalselyLocked)
	s.judge.Refresh(&s.track, at(99))
	s.verdict(budget.FalselyLocked)
	s.judge.Refresh(&s.track, at(100))
	s.verdict(budget.NotJudged)
	if !s.track.Entity().FalselyLockedLast.Known {
		t.Error("the last reading is forgotten at once")
	}
	s.judge.Refresh(&s.track, at(46.1).Add(lastShownFor+1))
	if s.track.Entity().FalselyLockedLast.Known {
		t.Error("the last reading is told after 24 hours")
	}
}

func TestWindows(t *testing.T) {
	s := tell(t, "1.84.0", func(r *budget.Row) {
		r.Windows = []budget.Window{{Duration: "1h", MaxBudget: budget.Some(1.0)}, {Duration: "1d", MaxBudget: budget.Some(5.0), ResetAt: budget.Some(at(1000))}}
	}).row(0, 3)
	s.judge.Counter(&s.track, budget.Counter{State: budget.CounterPresent, Value: 3, ReadAt: at(1)}, []budget.Counter{{State: budget.CounterAbsent}, {State: budget.CounterPresent, Value: 2}})
	got := s.track.Entity().Windows
	if len(got) != 2 || got[0].Enforced.Known || got[1].Enforced != budget.Some(2.0) || got[1].ResetAt != budget.Some(at(1000)) {
		t.Errorf("%+v", got)
	}
}
