package poller

import (
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func TestFlushStalled(t *testing.T) {
	spent := 0.0
	run(t, func(r *rig) {
		for n := range 3 {
			r.api.key(n, 1, 1000)
			r.redis.hold(counterOfKey(hash(n)), 1)
		}
		r.redis.buffers["litellm_spend_update_buffer"] = 7
	}, func(r *rig) {
		stalled := func() (holds, shown bool) {
			holds, shown = r.Snapshot().FleetCauses[budget.FlushStalled]
			return holds, shown
		}
		spend := func(d time.Duration, flushes bool) {
			for range d / (15 * time.Second) {
				spent += 0.5
				for n := range 3 {
					r.redis.hold(counterOfKey(hash(n)), 1+spent)
					if flushes {
						r.api.spend(hash(n), 1+spent)
					}
				}
				r.wait(15 * time.Second)
			}
		}
		r.settle()
		spend(5*time.Minute, true)
		if holds, shown := stalled(); holds || !shown {
			t.Errorf("rows follow: holds %v, shown %v", holds, shown)
		}
		spend(5*time.Minute, false)
		if holds, _ := stalled(); !holds {
			t.Error("no row has moved for five minutes")
		}
		evidence := map[string]float64{}
		for _, v := range r.Snapshot().FleetEvidence[budget.FlushStalled] {
			evidence[v.Name] = v.Value
		}
		if unmoved := evidence["rows_unmoved_seconds"]; unmoved < 240 || unmoved > 330 || evidence["spending_entities"] != 3 || evidence["buffer_elements"] != 7 {
			t.Errorf("evidence: %v", evidence)
		}
		spend(time.Minute, true)
		if holds, _ := stalled(); holds || len(r.Snapshot().FleetEvidence) != 0 {
			t.Error("rows follow again")
		}
		id := budget.ID{Scope: budget.Key, Value: hash(1)}
		history := r.History(id)
		if n := len(history); n < 8 || !history[n-1].Reported.Known || history[n-1].Counter != budget.Some(1+spent) || !history[0].At.Before(history[n-1].At) {
			t.Errorf("history: %v", history)
		}
		if r.History(budget.ID{Scope: budget.Key, Value: "unknown"}) != nil {
			t.Error("an unknown entity has a history")
		}
	})
}
