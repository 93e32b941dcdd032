package poller

import (
	"context"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

// While an entity is falsely locked its failed requests are asked for every inventory interval: of no more than
// mostLocks entities, and after the first time of one per lockPace. They are evidence, and LiteLLM has other things
// to do meanwhile.
const (
	mostLocks = 100
	lockPace  = 3 * time.Second
)

// lock is the reading of the failed requests of one that is falsely locked.
type lock struct {
	due  time.Time // when to ask for them
	read time.Time // up to when they were read since it is locked; zero before
}

// watchLock notes when an entity becomes falsely locked: then LiteLLM is asked, first a write lag later, what it refuses
// of it. Its log is written as late as its rows. Who reads a single entity does not wait for that: what was refused
// before is in the log.
func (p *Poller) watchLock(m *member) {
	id, before := m.track.Row().ID, m.locked
	m.locked = m.track.Entity().Verdict == budget.FalselyLocked
	if before && !m.locked {
		delete(p.log.locks, id)
	}
	if _, watched := p.log.locks[id]; watched || !m.locked || !p.options.asksForRefusals() || len(p.log.locks) >= mostLocks {
		return
	}
	due := time.Now()
	if !p.options.one {
		due = due.Add(p.options.Judge.WriteLag)
	}
	p.log.locks[id] = lock{due: due}
	wake(p.refusalsNow)
}

// askForLocks asks for the failed requests of those that are falsely locked.
func (p *Poller) askForLocks(ctx context.Context) error {
	for {
		id, release, from, to, ok := p.nextLock(time.Now())
		if !ok {
			return nil
		}
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.FailurePage, error) {
			return p.options.API.FailedRequestsOf(ctx, release, id, from, to)
		})
		if err != nil {
			return err
		}
		p.takeRefusalsOf(id, page.Refusals, to)
	}
}

// nextLock is one of those whose failed requests are to be asked for now, of which release, and which part of the log.
func (p *Poller) nextLock(now time.Time) (id budget.ID, release budget.Release, from, to time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, l := range p.log.locks {
		if !l.due.After(now) {
			return id, p.releases.inUse, refusals.From(l.read, now), now, true
		}
	}
	return budget.ID{}, budget.Release{}, time.Time{}, time.Time{}, false
}

// takeRefusalsOf takes in the newest refusals of one that is locked, new or not. Where not all are read, those that do
// not tell whose budget it was are counted here, and the last by its own cap is the one to be settled.
func (p *Poller) takeRefusalsOf(id budget.ID, read []refusals.Refusal, to time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.readOf[id] = to
	if _, locked := p.log.locks[id]; locked {
		p.log.locks[id] = lock{due: p.askAgainAt(to), read: to}
	}
	for _, r := range read {
		p.remember(p.resolved(r))
	}
	if p.options.readsRefusals() {
		return
	}
	var last refusals.Refusal
	for _, r := range p.log.reader.New(read) {
		r = p.resolved(r)
		if r.Scope == "" {
			p.countUnnamed()
		}
		if r.Own && r.Cap.Known && entityOf(r) == id && r.At.After(last.At) {
			last = r
		}
	}
	if !last.At.IsZero() && len(p.log.pending) < mostPending {
		p.log.pending = append(p.log.pending, last)
	}
	p.log.reader.Done(to)
}

// askAgainAt is when to ask again for the failed requests of one that is locked. Where all are read they are among them.
// Locks that come and go leave turns behind that nobody takes: a turn is never farther away than those of mostLocks.
func (p *Poller) askAgainAt(now time.Time) time.Time {
	if p.options.readsRefusals() {
		return now.Add(keptFor)
	}
	turn := earlier(p.log.lastAgain.Add(lockPace), now.Add(mostLocks*lockPace))
	p.log.lastAgain = later(now.Add(jittered(p.options.Inventory)), turn)
	return p.log.lastAgain
}
