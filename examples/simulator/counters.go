package simulator

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// counterTTL is LiteLLM's default_redis_ttl.
const counterTTL = 60 * time.Second

// counters is the Redis side: LiteLLM's names, encodings and lifetimes.
//
// As in LiteLLM up to 1.109.1 an error of Redis looks like a counter that is not there, and a write that failed is
// not noticed: with Redis down the model lives on the database rows.
type counters struct {
	redis     redis.UniversalClient
	namespace string
	release   release
	clock     Clock

	// deadlines say when each counter ends in model time. They matter only where time passes in steps.
	deadlines map[string]time.Time
}

// key is the name under which Redis has a counter.
func (c *counters) key(name string) string {
	if c.namespace == "" || c.release.is(skipsNamespace) && strings.HasPrefix(name, c.namespace) {
		return name
	}
	return c.namespace + ":" + name
}

// get reads a counter; ok is false when there is none that can be read.
func (c *counters) get(ctx context.Context, name string) (v float64, ok bool) {
	c.end(ctx, name)
	text, err := c.redis.Get(ctx, c.key(name)).Result()
	if err != nil {
		return 0, false
	}
	v, err = strconv.ParseFloat(text, 64)
	return v, err == nil
}

// add is INCRBYFLOAT with EXPIRE, by the release's rule; ok is false when Redis could not be written.
func (c *counters) add(ctx context.Context, name string, usd float64) (v float64, ok bool) {
	c.end(ctx, name)
	arms := true
	if c.release.is(ttlFromFirstWrite) {
		left, err := c.redis.PTTL(ctx, c.key(name)).Result()
		arms = err != nil || left <= 0
	}
	var sum *redis.FloatCmd
	_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		sum = p.IncrByFloat(ctx, c.key(name), usd)
		if arms {
			p.PExpire(ctx, c.key(name), c.lifetime(counterTTL))
		}
		return nil
	})
	if err == nil && arms {
		c.deadlines[name] = c.clock.Now().Add(counterTTL)
	}
	return sum.Val(), err == nil
}

// arm sets a counter's remaining life to one TTL.
func (c *counters) arm(ctx context.Context, name string) {
	c.redis.PExpire(ctx, c.key(name), c.lifetime(counterTTL))
	c.deadlines[name] = c.clock.Now().Add(counterTTL)
}

// set is SET with an expiry; the value is text as LiteLLM encodes it. A ttl of 0 is none.
func (c *counters) set(ctx context.Context, name, text string, ttl time.Duration) {
	c.redis.Set(ctx, c.key(name), text, c.lifetime(ttl))
	delete(c.deadlines, name)
	if ttl > 0 {
		c.deadlines[name] = c.clock.Now().Add(ttl)
	}
}

// seed is SET NX: it writes the row's spend unless there is a counter.
func (c *counters) seed(ctx context.Context, name string, usd float64) {
	c.end(ctx, name)
	if set, err := c.redis.SetNX(ctx, c.key(name), pythonFloat(usd), c.lifetime(counterTTL)).Result(); err == nil && set {
		c.deadlines[name] = c.clock.Now().Add(counterTTL)
	}
}

// raise sets a counter to the given value unless it is as high already, and re-arms it. LiteLLM does it in a
// script; here nobody else writes.
func (c *counters) raise(ctx context.Context, name string, usd float64) float64 {
	if v, ok := c.get(ctx, name); ok && v >= usd {
		c.arm(ctx, name)
		return v
	}
	c.set(ctx, name, pythonFloat(usd), counterTTL)
	return usd
}

// del deletes a counter, or misses it, where the release forgets the namespace.
func (c *counters) del(ctx context.Context, name string) {
	if c.release.is(deletesBare) {
		c.redis.Del(ctx, name)
		if c.key(name) != name {
			return
		}
	} else {
		c.redis.Del(ctx, c.key(name))
	}
	delete(c.deadlines, name)
}

// lifetime is how long Redis is told to keep something that lives for d in model time.
func (c *counters) lifetime(d time.Duration) time.Duration {
	if speed := c.clock.Speed(); speed > 0 {
		return time.Duration(float64(d) / speed)
	}
	return d
}

// end deletes a counter that is past its life although Redis could not know.
func (c *counters) end(ctx context.Context, name string) {
	deadline, ok := c.deadlines[name]
	if c.clock.Speed() > 0 || !ok || c.clock.Now().Before(deadline) {
		return
	}
	c.redis.Del(ctx, c.key(name))
	delete(c.deadlines, name)
}

// age sets what Redis believes of all lifetimes to model time, after a step.
func (c *counters) age(ctx context.Context) error {
	now := c.clock.Now()
	_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, name := range slices.Sorted(maps.Keys(c.deadlines)) {
			if left := c.deadlines[name].Sub(now); left > 0 {
				p.PExpire(ctx, c.key(name), left)
			} else {
				p.Del(ctx, c.key(name))
				delete(c.deadlines, name)
			}
		}
		return nil
	})
	return err
}
