package simulator

import (
	"sync"
	"time"
)

// Clock is the time the model lives in.
type Clock interface {
	// Now is the model's time.
	Now() time.Time
	// Speed is how many seconds of model time pass in one second of real time; 0 when time only passes in steps.
	Speed() float64
}

// RealClock is the time of the machine.
func RealClock() Clock { return scaledClock{speed: 1} }

// ScaledClock is a clock that starts at the given time and runs speed times as fast as the machine's.
//
// Redis cannot be made to run faster, so the lifetimes written to it are divided by the speed: 60 s become 1 s
// at 60. A remaining lifetime read from Redis is to be multiplied by it again.
func ScaledClock(start time.Time, speed float64) Clock {
	return scaledClock{start: start, origin: time.Now(), speed: speed}
}

type scaledClock struct {
	start, origin time.Time
	speed         float64
}

// Now is the model's time.
func (c scaledClock) Now() time.Time {
	if c.origin.IsZero() {
		return time.Now()
	}
	return c.start.Add(time.Duration(float64(time.Since(c.origin)) * c.speed))
}

// Speed is how much faster than the machine's time it runs.
func (c scaledClock) Speed() float64 { return c.speed }

// ManualClock is a clock that only Simulator.Step moves. After each step the lifetimes of all counters in Redis
// are set to what is left of them in model time, and counters that are past theirs are deleted.
type ManualClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewManualClock returns a clock that stands at the given time.
func NewManualClock(start time.Time) *ManualClock { return &ManualClock{now: start} }

// Now is the model's time.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Speed is 0: time passes in steps.
func (c *ManualClock) Speed() float64 { return 0 }

func (c *ManualClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}
