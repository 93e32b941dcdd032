package poller

import (
	"context"
	"sync"
	"time"

	"litellm_budget_exporter/collector/litellm"
)

// lane is who sends a request. Each lane has one request under way at most.
type lane int

const (
	background   lane = iota // inventory and rows
	confirmation             // suspicions: half of the duty cycle is theirs, whatever the background does
)

// duty bounds the seconds that requests take, those of both lanes together, to a ratio of wall time. After each
// request its lane rests for as long as makes the ratio right: a confirmation at half the ratio, by itself; the
// background at the whole ratio, but for the confirmations as well. So the background has what they leave.
type duty struct {
	ratio float64
	turn  [2]chan struct{} // holds a token while a request of the lane is under way

	mu   sync.Mutex
	free [2]time.Time // when the lane may send again
	held time.Time    // until when no lane may send
}

func newDuty(ratio float64) *duty {
	d := &duty{ratio: ratio}
	for l := range d.turn {
		d.turn[l] = make(chan struct{}, 1)
	}
	return d
}

// request sends one request in its lane's turn.
func request[T any](ctx context.Context, d *duty, l lane, send func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case d.turn[l] <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { <-d.turn[l] }()
	for rest := d.rest(l); rest > 0; rest = d.rest(l) {
		if !sleepUntil(ctx, time.Now().Add(rest), nil) {
			return none, ctx.Err()
		}
	}
	start := time.Now()
	answer, err := send(ctx)
	d.charge(l, start, busy(start, answer))
	return answer, err
}

// busy is for how long LiteLLM was: until its answer had arrived, where that is told. What decoding a large one takes
// afterwards is no load on it.
func busy(start time.Time, answer any) time.Duration {
	if page, ok := answer.(litellm.Page); ok && !page.ReadAt.IsZero() {
		return page.ReadAt.Sub(start)
	}
	return time.Since(start)
}

// rest is for how long a lane must not send.
func (d *duty) rest(l lane) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Until(later(d.free[l], d.held))
}

// hold keeps back what waits for its turn, too, until LiteLLM is to be asked again after a failure.
func (d *duty) hold(until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = until
}

func (d *duty) charge(l lane, start time.Time, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l == confirmation {
		d.push(confirmation, start, took, d.ratio/2)
	}
	d.push(background, start, took, d.ratio)
}

func (d *duty) push(l lane, start time.Time, took time.Duration, ratio float64) {
	from := d.free[l]
	if from.Before(start) {
		from = start
	}
	d.free[l] = from.Add(time.Duration(float64(took) / ratio))
}
