package poller

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
)

// countedAtOnce is how many entities' counters are read between two times that readings are taken in. It bounds
// what is held in memory; the reader makes smaller batches of it.
const countedAtOnce = 10_000

// keepCounters reads all counters every interval, and at once after the first sweep. The first time it waits for
// the first cycle of the inventory, or for one interval.
func (p *Poller) keepCounters(ctx context.Context) {
	next := time.Now().Add(p.options.CounterInterval)
	for sleepUntil(ctx, next, p.countNow) {
		start := time.Now()
		next = start.Add(jittered(p.options.CounterInterval))
		if err := p.count(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			p.failed(budget.Redis, countersLoop, err)
		} else {
			p.succeeded(budget.Redis, countersLoop)
		}
		p.options.Telemetry.ObservePoll(countersLoop, time.Since(start))
		wake(p.rowsNow)
	}
}

// count is one cycle: the counters of every known entity, then the buffers.
func (p *Poller) count(ctx context.Context) error {
	began := time.Now()
	members, swept := p.everyone()
	var failure error
	present := false
	for len(members) > 0 {
		some := members[:min(countedAtOnce, len(members))]
		members = members[len(some):]
		read, found, err := p.countSome(ctx, some)
		if failure == nil {
			failure = err
		}
		present = present || found
		if err != nil && read == 0 {
			break // not a node but all of Redis
		}
	}
	if failure == nil {
		failure = p.readBuffers(ctx)
	}
	p.counted(began, swept, failure == nil, present)
	return failure
}

// everyone returns all members, and the scopes that were read completely.
func (p *Poller) everyone() (members []*member, swept []budget.Scope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, scope := range budget.Scopes {
		r := p.rosters[scope]
		if r == nil {
			continue
		}
		members = append(members, r.inOrder()...)
		if r.swept {
			swept = append(swept, scope)
		}
	}
	return members, swept
}

// counterNames is the names of an entity's counters: its own, then its windows'.
func counterNames(row *budget.Row) []string {
	names := make([]string, 1, 1+len(row.Windows))
	names[0] = budget.CounterName(row.ID)
	for _, w := range row.Windows {
		names = append(names, budget.WindowCounterName(row.ID, w.Duration))
	}
	return names
}

// countSome reads the counters of some entities and takes in what was read: also with an error, for the nodes that
// answered. It says how many counters were read and whether any of them was there.
func (p *Poller) countSome(ctx context.Context, members []*member) (read int, present bool, err error) {
	rows := make([]*budget.Row, len(members))
	names := make([]string, 0, len(members))
	p.mu.Lock()
	for i, m := range members {
		rows[i] = m.track.Row()
		names = append(names, counterNames(rows[i])...)
	}
	p.mu.Unlock()
	readings, err := p.options.Counters.Read(ctx, names)
	if len(readings) != len(names) {
		return 0, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellUnreadable(names, readings)
	for i, m := range members {
		own := readings[:1+len(rows[i].Windows)]
		readings = readings[len(own):]
		for _, c := range own {
			if c.State != budget.CounterUnread {
				read++
			}
			present = present || c.State == budget.CounterPresent
		}
		p.takeCounters(m, rows[i], own)
	}
	return read, present, err
}

// tellUnreadable counts, once for a reading, each reason why counters in it are no numbers, and says so when that
// begins. It leaves the source up.
func (p *Poller) tellUnreadable(names []string, readings []budget.Counter) {
	first := map[counters.Reason]string{}
	for i, c := range readings {
		if c.State != budget.CounterUnreadable {
			continue
		}
		if reason := counters.Unreadable(c); first[reason] == "" {
			first[reason] = names[i]
		}
	}
	for reason, name := range first {
		p.options.Telemetry.CountError(string(budget.Redis), string(reason))
		if p.unreadableAt[reason].IsZero() {
			p.options.Logger.Warn("counters are no numbers; what is enforced is not known of their entities",
				slog.String("counter", name), slog.String("reason", string(reason)))
		}
		p.unreadableAt[reason] = time.Now()
	}
}

// takeCounters takes in the readings of an entity's counters, which were asked for by a row of its.
func (p *Poller) takeCounters(m *member, asked *budget.Row, readings []budget.Counter) {
	if m.gone {
		return
	}
	now := m.track.Row()
	for _, c := range readings {
		if c.State == budget.CounterUnreadable {
			p.rosters[now.ID.Scope].unreadable++
		}
	}
	p.judge.Counter(&m.track, readings[0], windowsOf(now, asked, readings[1:]))
	p.judged(m)
}

// windowsOf puts the readings of window counters into the order of the row's windows, which may have changed since
// they were asked for.
func windowsOf(now, asked *budget.Row, readings []budget.Counter) []budget.Counter {
	if now == asked {
		return readings
	}
	windows := make([]budget.Counter, len(now.Windows))
	for i, w := range now.Windows {
		for k, a := range asked.Windows {
			if a.Duration == w.Duration {
				windows[i] = readings[k]
			}
		}
	}
	return windows
}

// readBuffers reads how long LiteLLM's transaction buffers are. No permission for it, or something else than a list
// under the name of one, hides the metric and nothing else.
func (p *Poller) readBuffers(ctx context.Context) error {
	lengths, err := p.options.Counters.BufferLengths(ctx)
	mistyped := false
	switch {
	case err == nil:
	case reasonOf(err) == string(counters.NoPerm):
		p.options.Logger.Debug("the transaction buffers may not be read", slog.String("problem", err.Error()))
		lengths = nil
	case reasonOf(err) == string(counters.WrongType):
		mistyped = true
		p.options.Telemetry.CountError(string(budget.Redis), string(counters.WrongType))
	default:
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if mistyped && !p.bufferMistyped {
		p.options.Logger.Warn("a transaction buffer is no list; its length is not shown", slog.String("problem", err.Error()))
	}
	p.bufferMistyped = mistyped
	seen := map[string]int64{}
	for name, length := range lengths {
		if _, before := p.buffers[name]; before || length > 0 {
			seen[name] = length
		}
	}
	p.buffers = seen
	return nil
}

// counted takes in the end of a cycle.
func (p *Poller) counted(began time.Time, swept []budget.Scope, whole, present bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counterNames = string(p.options.Counters.Form())
	if whole {
		for _, scope := range swept {
			p.rosters[scope].counted = true
		}
	}
	maps.DeleteFunc(p.unreadableAt, func(_ counters.Reason, last time.Time) bool { return whole && last.Before(began) })
	p.sharing.Cycle(began, whole && len(swept) == len(p.rosters), present)
	p.snapshot = nil
}
