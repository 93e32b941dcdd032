package simulator_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// run lets a simulator run until the test ends.
func run(t *testing.T, s *simulator.Simulator) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestRunsFaster: at 200 times the speed a minute's life is 0.3 s, and spend reaches the rows at once.
func TestRunsFaster(t *testing.T) {
	rdb := redistest.Standalone(t).Client(t)
	s, err := simulator.New(simulator.Options{Redis: rdb, Clock: simulator.ScaledClock(start, 200)})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	k := s.AddKey(simulator.Key{})
	l := lab{s, t, rdb}
	l.send(k.Hash, 0.25)
	if left := l.life(keyCounter(k)); left > 300*time.Millisecond || left == -1 {
		t.Errorf("%v left of 300 ms", left)
	}
	eventually(t, "flush", func() bool { return l.spend(k.Hash) == 0.25 })
	eventually(t, "counter expires", func() bool { return l.counter(keyCounter(k)) == "" })
	if got := s.Now().Sub(start); got < time.Minute {
		t.Errorf("only %v went by in the model", got)
	}
}

func TestTrafficOverTime(t *testing.T) {
	rdb := redistest.Standalone(t).Client(t)
	s, err := simulator.New(simulator.Options{Redis: rdb, Clock: simulator.ScaledClock(start, 100)})
	if err != nil {
		t.Fatal(err)
	}
	k := s.AddKey(simulator.Key{MaxBudget: new(1000.0)})
	s.AddStream(simulator.Stream{Key: k.Hash, Every: 2 * time.Second, Cost: 0.01, Takes: time.Second})
	run(t, s)
	l := lab{s, t, rdb}
	eventually(t, "a dozen requests", func() bool { return l.spend(k.Hash) > 0.12 })
	s.DeleteKey(k.Hash) // its stream ends with it
	eventually(t, "counter expires", func() bool { return l.counter(keyCounter(k)) == "" })
}

// TestElapse: in miniredis time passes only when it is told.
func TestElapse(t *testing.T) {
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	var elapsed atomic.Int64
	s, err := simulator.New(simulator.Options{Redis: rdb, Clock: simulator.ScaledClock(start, 100), Elapse: func(d time.Duration) {
		elapsed.Add(int64(d))
		m.FastForward(d)
	}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	k := s.AddKey(simulator.Key{})
	l := lab{s, t, rdb}
	l.send(k.Hash, 0.25)
	eventually(t, "counter expires", func() bool { return l.counter(keyCounter(k)) == "" })
	if got := time.Duration(elapsed.Load()); got < 500*time.Millisecond {
		t.Errorf("told of %v only", got)
	}
}

// TestDemoRuns: the demo as it is started, on the machine's clock.
func TestDemoRuns(t *testing.T) {
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	s, err := simulator.NewDemo(t.Context(), simulator.Options{Redis: rdb, Elapse: m.FastForward})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	l := lab{s, t, rdb}
	locked := simulator.KeyCounter(simulator.DemoKey(simulator.FalselyLockedAlias))
	life := l.life(locked)
	eventually(t, "its life goes down", func() bool { return l.life(locked) < life })
	if got := l.usd(locked); got != 10.607 {
		t.Errorf("counter %v", got)
	}
	if status, _ := l.get("/key/list", simulator.DemoViewer); status != 200 {
		t.Errorf("the viewer may not list: %d", status)
	}
}
