package poller

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestStandingAndProgress(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.api.key(1, 3.536, 10)
		r.api.key(2, 1, 10)
		r.api.team("t-1", "Blue", 3.536, 10)
		r.redis.hold(counterOfKey(hash(1)), 10.607)
	}, func(r *rig) {
		id := budget.ID{Scope: budget.Key, Value: hash(1)}
		if got := r.Progress(); got.Whole || got.Entities != 0 {
			t.Errorf("before anything was read: %+v", got)
		}
		if _, known := r.Standing(id); known {
			t.Error("a key that was not read yet is known")
		}
		r.until("everything was read once", 10*time.Second, func() bool { return r.Progress().Whole })
		read := time.Now()
		if got := r.Progress(); got.Entities != 3 || got.Total != 3 {
			t.Errorf("3 entities were read: %+v", got)
		}
		if s, known := r.Standing(id); !known || !s.Counted || !s.UndecidedSince.Known || s.Row.Spend != budget.Some(3.536) {
			t.Errorf("the suspected key: %+v", s)
		}
		if n := r.Undecided(read); n != 1 {
			t.Errorf("%d are suspected, want the one", n)
		}
		if n := r.Undecided(read.Add(-time.Minute)); n != 0 {
			t.Errorf("%d were suspected a minute before", n)
		}
		r.until("nobody is suspected any more", soon, func() bool { return r.Undecided(read) == 0 })
		if r.verdict(hash(1)) != budget.FalselyLocked {
			t.Errorf("the verdict is %q", r.verdict(hash(1)))
		}
	})
}
