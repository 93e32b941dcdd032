package poller

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// load keeps a lane of a duty cycle busy with requests of a length and counts them.
func load(ctx context.Context, d *duty, l lane, took time.Duration, sent *int) {
	for ctx.Err() == nil {
		_, err := request(ctx, d, l, func(context.Context) (struct{}, error) {
			time.Sleep(took)
			return struct{}{}, nil
		})
		if err == nil {
			*sent++
		}
	}
}

func TestDutyCycle(t *testing.T) {
	const ratio, wall, took = 0.25, 1000 * time.Second, 100 * time.Millisecond
	for name, lanes := range map[string][]lane{
		"background alone":   {background},
		"confirmation alone": {confirmation},
		"both":               {background, confirmation},
		"three at once":      {background, background, confirmation},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), wall)
				defer cancel()
				d := newDuty(ratio)
				sent := make([]int, len(lanes))
				var running sync.WaitGroup
				for i, l := range lanes {
					running.Go(func() { load(ctx, d, l, took, &sent[i]) })
				}
				running.Wait()
				share := map[lane]float64{}
				for i, l := range lanes {
					share[l] += (time.Duration(sent[i]) * took).Seconds() / wall.Seconds()
				}
				if total := share[background] + share[confirmation]; total > ratio*1.001 {
					t.Errorf("busy for %.3f of the time, the most is %.3f", total, ratio)
				}
				want := map[lane]float64{background: ratio}
				switch {
				case len(lanes) > 1:
					want = map[lane]float64{background: ratio / 2, confirmation: ratio / 2}
				case lanes[0] == confirmation:
					want = map[lane]float64{confirmation: ratio / 2}
				}
				for l, w := range want {
					if share[l] < w*0.98 {
						t.Errorf("lane %d has %.3f of the time, want %.3f", l, share[l], w)
					}
				}
			})
		})
	}
}

func TestRequestsTakeAtMostTheirShareOfTheTime(t *testing.T) {
	run(t, func(r *rig) {
		r.api.latency = 150 * time.Millisecond
		for n := range 20_000 {
			r.api.key(n, 1, 10)
		}
	}, func(r *rig) {
		start := time.Now()
		for n := range 500 {
			r.redis.hold(counterOfKey(hash(n)), 15) // all suspected
		}
		r.wait(20 * time.Minute)
		r.api.mu.Lock()
		busy := r.api.busy
		r.api.mu.Unlock()
		if ratio := busy.Seconds() / time.Since(start).Seconds(); ratio > 0.2505 || ratio < 0.2 {
			t.Errorf("requests took %.4f of the time, want 0.25 at most and nearly that", ratio)
		}
		if r.count(budget.Key) != 20_000 {
			t.Errorf("%d keys", r.count(budget.Key))
		}
	})
}

func TestDecodingIsNoLoad(t *testing.T) {
	for name, c := range map[string]struct {
		tells bool
		want  time.Duration
	}{
		"an answer that tells when it arrived": {true, 4 * time.Second},
		"one that does not":                    {false, 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDuty(0.25)
				start := time.Now()
				_, _ = request(t.Context(), d, background, func(context.Context) (litellm.Page, error) {
					time.Sleep(time.Second) // LiteLLM answers
					var page litellm.Page
					if c.tells {
						page.ReadAt = time.Now()
					}
					time.Sleep(2 * time.Second) // it is decoded
					return page, nil
				})
				if rest := d.free[background].Sub(start); rest != c.want {
					t.Errorf("the next may be sent after %v, want %v", rest, c.want)
				}
			})
		})
	}
}
