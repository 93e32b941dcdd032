package poller

import (
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

func TestLaterSweepThatFailsHalfWayChangesNothing(t *testing.T) {
	run(t, func(r *rig) {
		for n := range 250 {
			r.api.key(n, 1, 1000)
		}
	}, func(r *rig) {
		r.until("the first sweep is whole", time.Minute, r.swept)
		r.settle()
		before := r.Snapshot().LastFullSweep
		r.api.failing(func(endpoint, arg string) error {
			if endpoint == "keys" && arg == "3" {
				return apiError("/key/list", litellm.ServerError)
			}
			return nil
		})
		for n := range 250 {
			r.api.spend(hash(n), 2)
		}
		added := r.api.key(1000, 1, 10)
		r.wait(2 * time.Minute)
		for n := range 250 {
			if got := r.entity(hash(n)).Reported; got != budget.Some(1.0) {
				t.Fatalf("key %d shows %v of a sweep that failed", n, got)
			}
		}
		if r.entity(added) != nil || r.Snapshot().LastFullSweep != before {
			t.Error("the failed sweep left something behind")
		}
		r.api.failing(nil)
		r.until("a whole sweep is shown", 2*time.Minute, func() bool { return r.entity(added) != nil })
		if got := r.entity(hash(1)).Reported; got != budget.Some(2.0) {
			t.Errorf("reported %v after the whole sweep, want 2", got)
		}
	})
}

func TestPagesThatCannotBePartOfAWholeList(t *testing.T) {
	second := func(change func(p litellm.Page) litellm.Page) func(string, litellm.Page) litellm.Page {
		return func(endpoint string, p litellm.Page) litellm.Page {
			if endpoint == "keys" && p.Page == 2 {
				return change(p)
			}
			return p
		}
	}
	var firstPage []*budget.Row
	for name, twist := range map[string]func(string, litellm.Page) litellm.Page{
		"repeats": func(endpoint string, p litellm.Page) litellm.Page {
			if endpoint == "keys" && p.Page == 1 {
				firstPage = p.Rows
			}
			if endpoint == "keys" && p.Page == 2 {
				p.Rows = firstPage
			}
			return p
		},
		"shrinks": second(func(p litellm.Page) litellm.Page {
			p.Rows, p.Received = p.Rows[:40], 40
			return p
		}),
		"is empty": second(func(p litellm.Page) litellm.Page {
			p.Rows, p.Received = nil, 0
			return p
		}),
		"is another page": second(func(p litellm.Page) litellm.Page {
			p.Page = 1
			return p
		}),
		"tells of a list that fell away": second(func(p litellm.Page) litellm.Page {
			p.Total, p.TotalPages = 101, 2
			return p
		}),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				for n := range 250 {
					r.api.key(n, 1, 10)
				}
			}, func(r *rig) {
				r.until("the first sweep is whole", time.Minute, r.swept)
				for n := range 20 { // some of them on the first page
					r.api.key(1000+n, 1, 10)
				}
				r.api.twisting(twist)
				r.until("the sweep fails", 70*time.Second, func() bool { return !r.source(budget.LiteLLM).Up })
				if got := r.source(budget.LiteLLM).Problem; !strings.Contains(got, "malformed") || !strings.Contains(got, "/key/list") {
					t.Errorf("the problem is %q", got)
				}
				if r.telemetry.errorsOf("litellm malformed") != 1 {
					t.Errorf("counted %v", r.telemetry.errors)
				}
				if r.count(budget.Key) != 250 {
					t.Errorf("%d keys are shown, want the 250 of the last whole sweep", r.count(budget.Key))
				}
				r.until("it is not shown for longer than the staleness bound", 5*time.Minute, func() bool { return r.count(budget.Key) == 0 })
				r.api.twisting(nil)
				r.until("the source is up again", 2*time.Minute, func() bool { return r.source(budget.LiteLLM).Up })
			})
		})
	}
}

func TestListOfTooManyPages(t *testing.T) {
	run(t, func(r *rig) {
		r.api.key(1, 1, 10)
		r.api.twist = func(endpoint string, p litellm.Page) litellm.Page {
			if endpoint == "keys" {
				p.TotalPages, p.Total = maxPages+1, 1
			}
			return p
		}
	}, func(r *rig) {
		r.until("the sweep fails", time.Minute, func() bool { return r.telemetry.errorsOf("litellm too_large") > 0 })
		if len(r.api.sent("keys")) != 1 {
			t.Error("more than the first page was read")
		}
	})
}

func TestListThatChangesWhileItIsReadIsBegunOnceMore(t *testing.T) {
	run(t, func(r *rig) {
		for n := range 250 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the first sweep is whole", time.Minute, r.swept)
		r.api.forgetCalls()
		once := false
		r.api.twisting(func(endpoint string, p litellm.Page) litellm.Page {
			if endpoint == "keys" && p.Page == 2 && !once {
				once = true
				p.Rows, p.Received, p.Total = p.Rows[:60], 60, 240 // ten were deleted between the rows and their number
			}
			return p
		})
		before := r.Snapshot().LastFullSweep
		r.until("the next sweep is whole", 70*time.Second, func() bool { return r.Snapshot().LastFullSweep != before })
		if r.telemetry.errorsOf("litellm malformed") != 0 || !once {
			t.Errorf("counted %v", r.telemetry.errors)
		}
		if n := len(r.api.sent("keys")); n != 5 {
			t.Errorf("%d pages were read, want 2 and then 3 from the beginning", n)
		}
	})
}

func TestKeyMadeWhileTheListIsReadShiftsItHarmlessly(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = time.Second
		for n := range 500 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		r.until("the first sweep is whole", 10*time.Minute, r.swept)
		pages := len(r.api.sent("keys"))
		r.until("a later sweep has read three pages", 10*time.Minute, func() bool { return len(r.api.sent("keys")) == pages+3 })
		first := 5000
		for n := first; n < 7000; n++ {
			if hash(n) < hash(first) {
				first = n
			}
		}
		smallest := r.api.key(first, 1, 10) // the last of page 3 is now the first of page 4
		before := r.Snapshot().LastFullSweep
		r.until("the sweep is whole", 10*time.Minute, func() bool { return r.Snapshot().LastFullSweep != before })
		if r.telemetry.errorsOf("litellm malformed") != 0 || r.count(budget.Key) < 500 {
			t.Errorf("counted %v, %d keys", r.telemetry.errors, r.count(budget.Key))
		}
		r.until("the new key is shown", 10*time.Minute, func() bool { return r.entity(smallest) != nil })
	})
}
