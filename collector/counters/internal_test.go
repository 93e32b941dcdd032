package counters

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters/redistest"
)

// AgeForm lets so much time pass since a counter was last found, and both forms were looked for, that the form is in question.
func AgeForm(r *Reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.foundAt, r.decidedAt = r.foundAt.Add(-formKept), r.decidedAt.Add(-formKept)
}

// spying is a deployment that notes the size of each pipeline, and lets something happen before the second.
type spying struct {
	deployment
	sizes        []int
	beforeSecond func()
}

func (s *spying) nodes(ctx context.Context, keys []string) ([]node, error) {
	nodes, err := s.deployment.nodes(ctx, keys)
	for i := range nodes {
		nodes[i].client = &spyingClient{nodes[i].client, s}
	}
	return nodes, err
}

type spyingClient struct {
	client interface{ Pipeline() redis.Pipeliner }
	spy    *spying
}

func (c *spyingClient) Pipeline() redis.Pipeliner {
	return &spyingPipeline{c.client.Pipeline(), c.spy}
}

type spyingPipeline struct {
	redis.Pipeliner
	spy *spying
}

func (p *spyingPipeline) Exec(ctx context.Context) ([]redis.Cmder, error) {
	p.spy.sizes = append(p.spy.sizes, p.Len())
	if len(p.spy.sizes) == 2 && p.spy.beforeSecond != nil {
		p.spy.beforeSecond()
	}
	return p.Pipeliner.Exec(ctx)
}

func TestPipelinesAreBounded(t *testing.T) {
	r, spy, _ := spied(t)
	if _, err := r.Read(t.Context(), names(1201)); err != nil {
		t.Fatal(err)
	}
	if want := []int{1000, 1000, 402}; !slices.Equal(spy.sizes, want) {
		t.Errorf("pipelines of %v commands, want %v", spy.sizes, want)
	}
}

func TestWhatWasReadBeforeAFailureHolds(t *testing.T) {
	r, spy, s := spied(t)
	s.Do(t, "SET", "0", "1.5", "EX", 60)
	spy.beforeSecond = s.Kill
	readings, err := r.Read(t.Context(), names(1201))
	if !isReason(err, Connection) {
		t.Errorf("error is %v, want one of the connection", err)
	}
	if len(spy.sizes) != 2 {
		t.Errorf("%d pipelines were sent, want none after the failure of the second", len(spy.sizes))
	}
	if readings[0].Value != 1.5 || readings[499].State != budget.CounterAbsent || readings[500].State != budget.CounterUnread {
		t.Errorf("around the failure: %+v, %+v, %+v", readings[0], readings[499], readings[500])
	}
}

func spied(t *testing.T) (*Reader, *spying, *redistest.Server) {
	t.Helper()
	s := redistest.Standalone(t)
	r, err := New(Options{Mode: Standalone, Addresses: []string{s.Addr}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	spy := &spying{deployment: r.deployment}
	r.deployment = spy
	return r, spy, s
}

func names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// A counter can expire between GET and PTTL; no real Redis does so on demand.
func TestCounterThatExpiresBetweenTheTwoCommandsIsAbsent(t *testing.T) {
	value, life := redis.NewStringResult("1.5", nil), redis.NewDurationResult(-2, nil)
	got, err := reading(value, life, time.Now())
	if err != nil || got.State != budget.CounterAbsent {
		t.Errorf("read %+v, error %v, want absent", got, err)
	}
}
