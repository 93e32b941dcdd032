//go:build conformance

package real

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// races is how often the race is run before it is said not to happen. Where it can happen, one in two to all of them end in a lock.
const races = 12

// testFalseLockout is BerriAI/litellm #27735: the counter of a key has expired, the next requests come to several proxies at
// once, each finds no counter and adds what the row says. So the key is refused at three times what it has spent, and whoever
// is on call is told, until the printed remedy was applied.
func testFalseLockout(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	var k virtualKey
	locked, highest := false, 0.0
	for race := range races {
		switch {
		case s.remembersCounters():
			k = s.newKey(t, fmt.Sprintf("checkout-prod-%d", race), map[string]any{"max_budget": 10.0, "spend": 3.5})
			e.knows(t, k)
		case race == 0:
			k = s.newKey(t, "checkout-prod", map[string]any{"max_budget": 10.0})
			e.knows(t, k)
			spend(t, 7, k)
			k.expire(t)
		default:
			k.expire(t)
		}
		eventually(t, func() error { return e.scrape(t).lacks("redis_spend_usd", k) })
		enforced := k.race(t)
		highest = max(highest, enforced)
		if locked = enforced >= 10; locked {
			break
		}
	}
	if !s.suffers(t, budget.ReseedMultiple) {
		if highest > 4 {
			t.Errorf("a counter of %v in %s, which is thought not to seed it twice", highest, s.release)
		}
		return
	}
	if !locked {
		t.Fatalf("%d races, and no lock; the highest counter was %v", races, highest)
	}
	k.refused(t)
	alerts := startPrometheus(t, e)
	own := e.sees(t, k, budget.ReseedMultiple)
	alerts.fires(t, "LiteLLMBudgetKeyFalselyLocked", k)
	e.heals(t, k, own)
	alerts.resolves(t, "LiteLLMBudgetKeyFalselyLocked", k)
}

// remembersCounters says whether a proxy goes by its own memory of a counter that Redis has no more, for ten minutes after it first
// wrote it: up to 1.83.14. There the race is one for a key that no proxy has served lately.
func (s *stack) remembersCounters() bool { return !since(s.release, "1.84.0") }

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
	k.lives(t)
	e.shows(t, "falsely_locked", k, 1)
	e.names(t, k, why)
	x := e.explain(t, k)
	own := x.Budgets[0]
	if x.Verdict != "falsely_locked" || own.ID != k.hash || own.Cause == nil || own.Cause.Name != string(why) {
		t.Errorf("it is explained as %+v", x)
	}
	return own
}

// heals applies the remedy of a false lock as it was printed. The exporter says that it is over, and requests are
// admitted again.
func (e *exporter) heals(t *testing.T, k virtualKey, own explainedBudget) {
	t.Helper()
	own.mend(t, "Delete the counter")
	e.shows(t, "falsely_locked", k, 0)
	if !k.s.remembersCounters() { // the remedy says so
		k.admitted(t)
	}
	eventually(t, func() error { return e.explain(t, k).is("ok") })
	if _, there := e.scrape(t).of("falsely_locked_last_timestamp_seconds", k); !there {
		t.Error("that it was locked is forgotten")
	}
}

// mends follows a false lock to its end.
func (e *exporter) mends(t *testing.T, k virtualKey, why budget.Cause) {
	t.Helper()
	e.heals(t, k, e.sees(t, k, why))
}
