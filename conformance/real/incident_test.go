//go:build conformance

package real

import (
	"slices"
	"sync"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// races is how often the race is run before it is said not to happen. Where it can happen, one in two to all of them end in a lock.
const races = 12

// testFalseLockout is BerriAI/litellm #27735: the counter of a key has expired, the next requests come to several proxies at
// once, each finds no counter and adds what the row says. So the key is refused at three times what it has spent.
func testFalseLockout(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	k := s.newKey(t, "checkout-prod", map[string]any{"max_budget": 10.0})
	e.knows(t, k)
	spend(t, 7, k)
	happens := budget.Affected(s.release, budget.ReseedMultiple)
	if !happens.Known {
		t.Fatalf("it is not known whether %s suffers from %s", s.release, budget.ReseedMultiple)
	}
	locked, highest := 0, 0.0
	for range races {
		k.expire(t)
		eventually(t, func() error { return e.scrape(t).lacks("redis_spend_usd", k) })
		enforced := k.race(t)
		highest = max(highest, enforced)
		if enforced >= 10 {
			locked++
			break
		}
	}
	if !happens.Value {
		if locked > 0 || highest > 4 {
			t.Errorf("a counter of %v in %s, which is thought not to seed it twice", highest, s.release)
		}
		return
	}
	if locked == 0 {
		t.Fatalf("%d races, and no lock; the highest counter was %v", races, highest)
	}
	k.refused(t)
	e.mends(t, k, budget.ReseedMultiple)
}

// expire ends the counter's life now: it would end by itself after a minute without requests.
func (k virtualKey) expire(t *testing.T) {
	t.Helper()
	k.s.redis(t, "PEXPIRE", k.counterName(), "1")
}

// race has a request come to every proxy at once when there is no counter, and returns what the counter says then.
func (k virtualKey) race(t *testing.T) float64 {
	t.Helper()
	start, errs := make(chan struct{}), make([]error, len(k.s.urls))
	var requests sync.WaitGroup
	for proxy := range k.s.urls {
		requests.Go(func() {
			<-start
			_, errs[proxy] = k.chat(proxy, cheap) // the last one may already be refused
		})
	}
	close(start)
	requests.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		t.Fatal(errs[i])
	}
	counter := k.counter(t)
	t.Logf("%d requests at once, without a counter: it says %s now, the row %v", len(errs), counter, k.row(t))
	return number(t, counter)
}

// sees waits until the exporter sees a false lock and names its cause, and has it explained.
func (e *exporter) sees(t *testing.T, k virtualKey, why budget.Cause) explainedBudget {
	t.Helper()
	e.shows(t, "falsely_locked", k, 1)
	e.names(t, k, string(why))
	x := e.explain(t, k)
	own := x.Budgets[0]
	if x.Verdict != "falsely_locked" || own.ID != k.hash || own.Cause == nil || own.Cause.Name != string(why) {
		t.Errorf("it is explained as %+v", x)
	}
	return own
}

// mends follows a false lock to its end: the exporter sees and explains it, and when the remedy that it prints was
// applied, says that it is over, and requests are admitted again.
func (e *exporter) mends(t *testing.T, k virtualKey, why budget.Cause) {
	t.Helper()
	e.sees(t, k, why).mend(t, "Delete the counter")
	e.shows(t, "falsely_locked", k, 0)
	k.admitted(t)
	eventually(t, func() error { return e.explain(t, k).is("ok") })
	if _, there := e.scrape(t).of("falsely_locked_last_timestamp_seconds", k); !there {
		t.Error("that it was locked is forgotten")
	}
}
