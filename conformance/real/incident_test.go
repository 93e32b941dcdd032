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
	k := s.newKey(t, "checkout-prod", map[string]any{"max_budget": 10.0})
	e.knows(t, k)
	k.spend(t, 7)
	happens := budget.Affected(s.release, budget.ReseedMultiple)
	if !happens.Known {
		t.Fatalf("it is not known whether %s suffers from %s", s.release, budget.ReseedMultiple)
	}
	locked, highest := 0, 0.0
	for range races {
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
	k.refused(t, 0)
	e.mends(t, k, budget.ReseedMultiple)
}

// race has a request come to every proxy at once when the counter has just expired, and returns what the counter says then.
func (k virtualKey) race(t *testing.T) float64 {
	t.Helper()
	k.s.redis(t, "PEXPIRE", k.counterName(), "1") // it would by itself, after a minute without requests
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
	t.Logf("%d requests at once after the counter's end: it says %s now, /key/info %v", len(errs), counter, k.row(t))
	return number(t, counter)
}

// mends follows a false lock to its end: the exporter sees it and names its cause, explains it, and when its remedy was
// applied, says that it is over, and requests are admitted again.
func (e *exporter) mends(t *testing.T, k virtualKey, why budget.Cause) {
	t.Helper()
	e.shows(t, "falsely_locked", k, 1)
	e.names(t, k, string(why))
	x := e.explain(t, k)
	own := x.Budgets[0]
	if x.Verdict != "falsely_locked" || own.ID != k.hash || own.Cause == nil || own.Cause.Name != string(why) {
		t.Errorf("it is explained as %+v", x)
	}
	own.mend(t, "Delete the counter")
	e.shows(t, "falsely_locked", k, 0)
	k.admitted(t, 0)
	eventually(t, func() error { return e.explain(t, k).is("ok") })
	if _, there := e.scrape(t).of("falsely_locked_last_timestamp_seconds", k); !there {
		t.Error("that it was locked is forgotten")
	}
}
