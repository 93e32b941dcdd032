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
		if got := r.Progress(); got.Entities != 3 || got.Total != 3 {
			t.Errorf("3 entities were read: %+v", got)
		}
		if s, known := r.Standing(id); !known || !s.Counted || !s.UndecidedSince.Known || s.Row.Spend != budget.Some(3.536) {
			t.Errorf("the suspected key: %+v", s)
		}
		for _, e := range append(r.Snapshot().Entities[budget.Key], r.Snapshot().Entities[budget.Team]...) {
			if suspected := e.Suspected != nil; suspected != (e.ID == id) {
				t.Errorf("%v is suspected: %v", e.ID, suspected)
			}
		}
		r.until("it is suspected no more", soon, func() bool { s, _ := r.Standing(id); return !s.UndecidedSince.Known })
		if r.verdict(hash(1)) != budget.FalselyLocked {
			t.Errorf("the verdict is %q", r.verdict(hash(1)))
		}
	})
}
