package poller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

func (r *rig) release() budget.Release { return r.Snapshot().Release }

func (r *rig) setVersion(v string) {
	r.api.mu.Lock()
	defer r.api.mu.Unlock()
	r.api.version = v
}

func TestReleaseIsDetectedAndCanBeOverridden(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 1, 10) }, func(r *rig) {
		r.until("detected", time.Minute, func() bool { return r.release() == budget.ReleaseOf("1.84.0") })
	})
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.options.Version = "1.90.7"
	}, func(r *rig) {
		r.until("overridden", time.Minute, func() bool { return r.release() == budget.ReleaseOf("1.90.7") })
		r.wait(10 * time.Minute)
		if r.release().Version != "1.90.7" || len(r.api.sent("release")) != 0 {
			t.Errorf("release %+v, asked %d times", r.release(), len(r.api.sent("release")))
		}
	})
}

func TestReleaseThatCannotBeToldTakesTheNewestRules(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.fail = func(endpoint, _ string) error {
			if endpoint == "release" {
				return apiError("/public/model_hub/info", litellm.Forbidden)
			}
			return nil
		}
	}, func(r *rig) {
		r.wait(5 * time.Minute)
		if got := r.release(); got.Version != "" || !got.Assumed || !got.Rules.RaisesStaleLow {
			t.Errorf("release %+v", got)
		}
		if !r.source(budget.LiteLLM).Up {
			t.Error("the source is down for want of a version")
		}
		if n := strings.Count(r.log.String(), "litellm.version"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
	})
}

func TestRollingUpgrade(t *testing.T) {
	run(t, func(r *rig) { r.api.key(1, 1, 10) }, func(r *rig) {
		r.settle()
		for range 5 { // two proxies answer in turn
			r.setVersion("1.90.7")
			r.wait(time.Minute)
			r.setVersion("1.84.0")
			r.wait(time.Minute)
			if v := r.release().Version; v != "1.84.0" {
				t.Fatalf("the rules of %s hold while 1.84.0 still answers", v)
			}
		}
		r.setVersion("1.90.7")
		took := r.until("the newer one holds", 8*time.Minute, func() bool { return r.release().Version == "1.90.7" })
		if took < aloneFor {
			t.Errorf("it holds after %v alone", took)
		}
		r.setVersion("1.84.0")
		r.until("an older one holds at once", 65*time.Second, func() bool { return r.release().Version == "1.84.0" })
	})
}

func TestReleaseDecidesTheEnforcedSpend(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 5, 10)
		r.redis.hold(counterOfKey(hash(1)), 3)
	}, func(r *rig) {
		r.until("1.84.0 enforces the counter", time.Minute, func() bool { return r.entity(hash(1)) != nil && r.entity(hash(1)).Enforced == budget.Some(3.0) })
		r.setVersion("1.90.7")
		r.until("1.90.7 holds", 8*time.Minute, func() bool { return r.release().Version == "1.90.7" })
		if e := r.entity(hash(1)).Enforced; e != budget.Some(5.0) {
			t.Errorf("enforced %v under the rules of 1.90.7, which raises the counter to 5", e)
		}
	})
}

func TestWindowsAreSparedWhileEitherReleaseOfAnUpgradeWouldRaiseThem(t *testing.T) {
	run(t, func(r *rig) {
		longInventory(r)
		r.options.Inventory = time.Minute
		r.api.version = "1.94.3"
		r.api.key(1, 1, 1000)
		r.api.change(hash(1), func(row *budget.Row) { row.Windows = []budget.Window{{Duration: "1d"}} })
	}, func(r *rig) {
		r.settle()
		r.setVersion("1.101.6")
		r.wait(time.Minute)
		r.setVersion("1.94.3")
		r.wait(time.Minute)
		r.api.forgetCalls()
		r.redis.hold(counterOfKey(hash(1)), 1.5)
		r.until("the row is read", 30*time.Second, func() bool { return len(r.api.sent("key")) > 0 })
		if len(r.api.sent("keys info")) > 0 || r.release().Version != "1.94.3" {
			t.Errorf("read by an endpoint that may raise its windows, under the rules of %s", r.release().Version)
		}
		r.wait(6 * time.Minute)
		r.redis.hold(counterOfKey(hash(1)), 1.6)
		r.until("a batch does again", 30*time.Second, func() bool { return len(r.api.sent("keys info")) > 0 })
	})
}

func TestDetectionHoldsAtOnceWhenItsOverrideIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.api.key(1, 1, 10)
			r.options.Version = "1.83.14"
		})
		stop := r.start()
		r.settle()
		stop()
		o := r.options
		o.Version = ""
		r.Reconfigure(o)
		stop = r.start()
		defer stop()
		r.until("the detected release holds", time.Minute, func() bool { return r.release().Version == "1.84.0" })
	})
}
