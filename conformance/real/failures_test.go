//go:build conformance

package real

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// followsEdits says whether what an operator does to a key's spend reaches its counter: from 1.90.0 on, but in 1.90 an edit
// deletes a counter without a namespace, which is none where there is one.
func (s *stack) followsEdits() bool {
	return since(s.release, "1.91.0") || since(s.release, "1.90.0") && s.namespace == ""
}

// exhausted is a key that has spent a little more than its cap, as LiteLLM lets it, so that it is refused for good reason.
func exhausted(t *testing.T, s *stack, e *exporter, alias string) virtualKey {
	t.Helper()
	k := s.newKey(t, alias, map[string]any{"max_budget": 1.9})
	spend(t, 4, k)
	e.shows(t, "spend_enforced_usd", k, 2)
	e.shows(t, "spend_reported_usd", k, 2)
	k.lives(t)
	if locked, there := e.scrape(t).of("falsely_locked", k); !there || locked != 0 {
		t.Errorf("a key that has spent all of its budget is falsely locked: %v (there: %t)", locked, there)
	}
	return k
}

// testStaleAfterReset: an operator resets a key's spend, the counter stays.
func testStaleAfterReset(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	k := exhausted(t, s, e, "reset-by-hand")
	s.admin(t, "/key/"+k.hash+"/reset_spend", map[string]any{"reset_to": 0.0}, nil)
	if since(s.release, "1.90.0") {
		k.admitted(t)
		return
	}
	k.refused(t)
	e.mends(t, k, budget.StaleAfterReset)
}

// testManualEdit: an operator sets a key's spend, the counter stays.
func testManualEdit(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	k := exhausted(t, s, e, "edited-by-hand")
	s.admin(t, "/key/update", map[string]any{"key": k.hash, "spend": 0.5}, nil)
	if s.followsEdits() {
		k.admitted(t)
		return
	}
	k.refused(t)
	e.mends(t, k, budget.ManualSpendEdit)
}

// testDroppedStreams: clients leave in the middle of an answer, and what was reserved for them is never given back: up to
// 1.90.7 at least. Later ones settle for the part that was sent.
func testDroppedStreams(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	k := s.newKey(t, "streaming", map[string]any{"max_budget": 5.0})
	e.knows(t, k)
	for range 3 {
		k.hangUp(t)
	}
	switch {
	case !s.suffers(t, budget.PinnedAtCap): // nothing is reserved, nor counted
		k.admitted(t)
	case since(s.release, "1.101.6"):
		eventually(t, func() error {
			if counter := k.counter(t); counter == "" || number(t, counter) > 1 {
				return fmt.Errorf("the counter says %s, want what the parts of the answers cost", counter)
			}
			return nil
		})
	default:
		e.pinned(t, k)
	}
}

// pinned says that reservations that are not given back fill the budget, the last one being cut to what is left, and that
// it is over when the counter expires.
func (e *exporter) pinned(t *testing.T, k virtualKey) {
	t.Helper()
	k.refused(t)
	e.sees(t, k, budget.PinnedAtCap)
	k.expire(t) // the remedy is to wait for that
	e.shows(t, "falsely_locked", k, 0)
	k.admitted(t)
}

// reserving is a request for which 2 dollars are reserved. gpt-slow sends a part of its answer each second, gpt-stuck
// nothing.
func (k virtualKey) reserving(t *testing.T, proxy int, model string) *http.Request {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"model": model, "stream": model == "gpt-slow", "max_tokens": 100, "messages": []map[string]string{{"role": "user", "content": "hi"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.s.urls[proxy]+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+k.raw)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "")
	return r
}

// hangUp asks for a slow answer and leaves after its first part.
func (k virtualKey) hangUp(t *testing.T) {
	t.Helper()
	response, err := k.s.client.Do(k.reserving(t, 0, "gpt-slow"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
}

// testKilledProxy: a proxy is killed while it waits for answers, as by Linux when memory runs out, and what it had reserved
// is never given back, in all releases that reserve. It must come last, for the proxy is gone.
func testKilledProxy(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	if !s.suffers(t, budget.ReservationLeak) {
		t.Logf("%s reserves nothing", s.release)
		return
	}
	full, roomy := s.newKey(t, "lost-with-its-proxy", map[string]any{"max_budget": 5.0}), s.newKey(t, "lost-with-its-proxy-roomy", map[string]any{"max_budget": 100.0})
	last := len(s.urls) - 1
	var requests sync.WaitGroup
	defer requests.Wait()
	for k, reserved := range map[virtualKey][]float64{full: {2, 4, 5}, roomy: {2, 4, 6}} {
		e.knows(t, k)
		for _, want := range reserved {
			r := k.reserving(t, last, "gpt-stuck")
			requests.Go(func() {
				if response, err := afresh.RoundTrip(r); err == nil {
					_ = response.Body.Close()
					t.Errorf("answered with %d, want nothing", response.StatusCode)
				}
			})
			e.shows(t, "redis_spend_usd", k, want)
		}
	}
	pid, err := strconv.Atoi(s.pids[last])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	requests.Wait()
	t.Logf("a proxy was killed; the counters say %s of 5, and %s of 100", full.counter(t), roomy.counter(t))
	full.lives(t)
	roomy.lives(t)
	e.pinned(t, full)
	e.leaks(t, roomy)
}

// leaks waits until the exporter names reservations that were not given back as the cause of a divergence, which takes a
// minute, while the key is in use, and mends it.
func (e *exporter) leaks(t *testing.T, k virtualKey) {
	t.Helper()
	defer func() {
		if t.Failed() {
			e.explain(t, k)
		}
	}()
	within(t, 2*patience, func() error {
		k.admitted(t)
		if got := e.scrape(t).cause(k); got != string(budget.ReservationLeak) {
			return fmt.Errorf("the cause is %q", got)
		}
		return nil
	})
	e.explain(t, k).Budgets[0].mend(t, "Delete the counter")
	eventually(t, func() error { return e.explain(t, k).is("ok") })
}

// testImmortal: a counter that has lost its expiry, as when LiteLLM's EXPIRE did not reach Redis.
func testImmortal(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	k := s.newKey(t, "immortal", map[string]any{"max_budget": 100.0})
	spend(t, 2, k)
	s.redis(t, "PERSIST", k.counterName())
	e.shows(t, "redis_ttl_seconds", k, -1)
	e.names(t, k, budget.Immortal)
}

// testLostCounters: Redis starts again with an old snapshot, and all counters fall at once.
func testLostCounters(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	var keys []virtualKey
	for i := range 4 {
		keys = append(keys, s.newKey(t, fmt.Sprintf("batch-%d", i), map[string]any{"max_budget": 2.0}))
	}
	spend(t, 2, keys...)
	for _, k := range keys {
		k.lives(t)
	}
	s.redis(t, "SAVE")
	spend(t, 2, keys...)
	for _, k := range keys {
		e.shows(t, "spend_enforced_usd", k, 2)
	}
	s.redis(t, "SHUTDOWN", "NOSAVE") // the kit starts it again
	eventually(t, func() error {
		if pong, err := s.redisCLI("PING"); err != nil || pong != "PONG" {
			return fmt.Errorf("PING: %s %w", pong, err)
		}
		return nil
	})
	for i, k := range keys {
		if !s.suffers(t, budget.CounterLost) { // the counter is raised to the row, but that as a proxy knew it up to a minute ago
			eventually(t, func() error {
				if a, err := k.chat(i%len(s.urls), cheap); err != nil || a.status == http.StatusOK {
					return fmt.Errorf("admitted although its counter was lost; that says %s now; error %w", k.counter(t), err)
				}
				return nil
			})
			continue
		}
		a, err := k.chat(i%len(s.urls), cheap)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("%v, status %d: %s; want it admitted by what the counter says", err, a.status, a.body)
		}
		t.Logf("after the restart: status %d, the counter says %s, the row %v of 2", a.status, k.counter(t), k.row(t))
		e.shows(t, "bypassed", k, 1)
		e.names(t, k, budget.CounterLost)
		t.Log(e.explain(t, k).Summary)
	}
}

// TestNoSharedRedis: proxies that are told of no Redis count each for itself, and there is nothing to be seen but that: no
// counter for a minute while spend rises.
func TestNoSharedRedis(t *testing.T) {
	s := startStack(t, "--proxies", "2", "--no-redis")
	e := startExporter(t, s)
	k := s.newKey(t, "spends-twice", map[string]any{"max_budget": 2.0})
	e.knows(t, k)
	admitted := 0
	for range 6 {
		for proxy := range s.urls {
			a, err := k.chat(proxy, costly)
			if err != nil {
				t.Fatal(err)
			}
			if a.status == http.StatusOK {
				admitted++
			}
		}
	}
	t.Logf("%d requests of half a dollar were admitted, with a budget of 2", admitted)
	if admitted <= 4 {
		t.Error("the proxies seem to share a budget")
	}
	busy := s.newKey(t, "unlimited-traffic", map[string]any{})
	within(t, 2*patience, func() error {
		busy.admitted(t)
		if got := e.scrape(t).by("litellm_budget_fleet_cause", "cause"); got[string(budget.NoSharedCounters)] != 1 {
			return fmt.Errorf("the causes that belong to the fleet: %v", got)
		}
		return nil
	})
}
