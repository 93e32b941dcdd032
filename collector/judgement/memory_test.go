package judgement

import (
	"runtime"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// TestHistoriesAreSmall holds the histories of 100 000 keys that all move below 100 MB together, and so what burn rates
// are made of.
func TestHistoriesAreSmall(t *testing.T) {
	const keys, most = 2_000, 1_000 // bytes a key
	j := New(params)
	tracks := make([]Track, keys)
	for i := range 60 { // a reset, an absence and traffic at every reading
		for k := range tracks {
			spend := float64(i%40) + 0.1
			j.Row(&tracks[k], &budget.Row{ID: budget.ID{Scope: budget.Key, Value: "k"}, Spend: budget.Some(spend), ReadAt: at(15 * float64(i))})
			c := budget.Counter{State: budget.CounterPresent, Value: spend + 0.5, TTL: time.Minute, ReadAt: at(15*float64(i) + 1)}
			if i == 30 {
				c.State = budget.CounterAbsent
			}
			j.Counter(&tracks[k], c, nil)
		}
	}
	with := heap()
	if len(tracks[0].Samples()) < 16 || tracks[0].motion == nil {
		t.Fatal("the keys have no whole history")
	}
	for k := range tracks {
		tracks[k].history = nil
	}
	without := heap()
	if each := (with - without) / keys; each > most {
		t.Errorf("a history takes %d bytes, want at most %d", each, most)
	}
	for k := range tracks {
		tracks[k].motion = nil
	}
	if each := (without - heap()) / keys; each > most {
		t.Errorf("what burn rates are made of takes %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(tracks)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
