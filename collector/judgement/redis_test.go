package judgement_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
)

// memory is a Redis inside the test: what the simulator needs of one, without a network, so that a week passes in
// seconds. Time passes in it by the given clock.
type memory struct {
	now    func() time.Time
	values map[string]string
	ends   map[string]time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{now, map[string]string{}, map[string]time.Time{}}
}

// client is a client of it that opens no connection.
func (m *memory) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: "memory"})
	c.AddHook(m)
	return c
}

func (m *memory) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("no network") }
}

func (m *memory) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		m.do(cmd)
		return cmd.Err()
	}
}

func (m *memory) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		for _, c := range cmds {
			m.do(c)
		}
		return nil
	}
}

func (m *memory) do(cmd redis.Cmder) {
	args := cmd.Args()
	key := fmt.Sprint(args[1])
	if end, ok := m.ends[key]; ok && !m.now().Before(end) {
		m.del(key)
	}
	switch c := cmd.(type) {
	case *redis.StringCmd: // GET
		if v, ok := m.values[key]; ok {
			c.SetVal(v)
		} else {
			c.SetErr(redis.Nil)
		}
	case *redis.FloatCmd: // INCRBYFLOAT
		v, _ := strconv.ParseFloat(m.values[key], 64)
		v += amount[float64](args[2])
		m.values[key] = strconv.FormatFloat(v, 'f', -1, 64)
		c.SetVal(v)
	case *redis.BoolCmd: // PEXPIRE, SET NX PX
		_, there := m.values[key]
		switch {
		case args[0] == "pexpire" && there:
			m.expire(key, time.Duration(amount[int64](args[2]))*time.Millisecond)
		case args[0] != "pexpire" && !there:
			m.set(key, args)
		}
		c.SetVal((args[0] == "pexpire") == there)
	case *redis.StatusCmd: // SET
		m.set(key, args)
		c.SetVal("OK")
	case *redis.DurationCmd: // PTTL
		c.SetVal(m.counter(key).TTL)
	case *redis.IntCmd: // DEL
		m.del(key)
	default:
		panic(fmt.Sprintf("the simulator sent %v", args))
	}
}

func (m *memory) set(key string, args []any) {
	m.del(key)
	m.values[key] = fmt.Sprint(args[2])
	for i := 3; i+1 < len(args); i++ {
		switch args[i] {
		case "px":
			m.expire(key, time.Duration(amount[int64](args[i+1]))*time.Millisecond)
		case "ex":
			m.expire(key, time.Duration(amount[int64](args[i+1]))*time.Second)
		}
	}
}

func (m *memory) expire(key string, d time.Duration) { m.ends[key] = m.now().Add(d) }

func (m *memory) del(key string) {
	delete(m.values, key)
	delete(m.ends, key)
}

// counter is the reading of a counter.
func (m *memory) counter(key string) budget.Counter {
	now := m.now()
	end, mortal := m.ends[key]
	text, ok := m.values[key]
	if !ok || mortal && !now.Before(end) {
		return budget.Counter{State: budget.CounterAbsent, ReadAt: now}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return budget.Counter{State: budget.CounterUnreadable, ReadAt: now}
	}
	c := budget.Counter{State: budget.CounterPresent, Value: v, TTL: budget.NoExpiry, ReadAt: now}
	if mortal {
		c.TTL = end.Sub(now)
	}
	return c
}

func amount[T any](arg any) T {
	v, ok := arg.(T)
	if !ok {
		panic(fmt.Sprintf("the simulator sent %T", arg))
	}
	return v
}
