package poller

import (
	"maps"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// longestView is for how long a view holds at most: time alone ends some of what it says.
const longestView = time.Minute

// Snapshot is the view of everything that may be shown now. It reads nothing: it is made of what the loops read
// last, and made anew only when that changed or became too old to be shown.
func (p *Poller) Snapshot() *budget.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.snapshot == nil || now.After(p.validUntil) {
		p.snapshot, p.validUntil = p.view(now)
	}
	return p.snapshot
}

// view makes a snapshot, and says until when it holds if nothing else is read.
func (p *Poller) view(now time.Time) (*budget.Snapshot, time.Time) {
	s := &budget.Snapshot{
		At:       now,
		Release:  p.releases.inUse,
		Sources:  map[budget.Source]budget.SourceState{},
		Entities: map[budget.Scope][]*budget.Entity{},
		Fleets:   map[budget.Scope]budget.Fleet{},
	}
	for name, source := range p.sources {
		s.Sources[name] = source.state()
	}
	if !p.lastFullSweep.IsZero() {
		s.LastFullSweep = budget.Some(p.lastFullSweep)
	}
	if p.options.readsRefusals() {
		s.Refusals = maps.Clone(p.log.counts)
	}
	if s.Refusals != nil || p.options.asksForRefusals() && !p.options.readsRefusals() {
		s.UnnamedRefusals = budget.Some(p.log.unnamed)
	}
	litellm, redis := p.sources[budget.LiteLLM], p.sources[budget.Redis]
	redisFresh := redis != nil && redis.fresh(now, p.options.StalenessRedis)
	valid := now.Add(longestView)
	if redisFresh {
		valid = redis.lastSuccess.Add(p.options.StalenessRedis)
		s.BufferLengths = maps.Clone(p.buffers)
		s.CounterNames = p.counterNames
	}
	if redis != nil {
		s.WriteLag = p.judge.WriteLag()
	}
	if !litellm.fresh(now, p.options.StalenessLiteLLM) {
		return s, valid
	}
	valid = earlier(valid, litellm.lastSuccess.Add(p.options.StalenessLiteLLM))
	whole := redisFresh && p.sharing.Counted() && !p.options.one // one entity is no fleet
	for scope, r := range p.rosters {
		entities, until := p.entities(r, now)
		s.Entities[scope] = entities
		valid = earlier(valid, until)
		if r.swept {
			s.Fleets[scope] = p.fleet(scope, r, entities, redisFresh && r.counted)
		}
		whole = whole && r.counted
	}
	if whole {
		s.FleetCauses = map[budget.FleetCause]bool{
			budget.NoSharedCounters: p.sharing.Missing(p.options.Judge.ToleranceUSD),
			budget.FlushStalled:     p.judge.FlushStalled(now),
		}
		s.FleetEvidence = p.fleetEvidence(s.FleetCauses, now)
	}
	return s, valid
}

// spendBuffer is the list that holds spend on its way to the database, where LiteLLM keeps one in Redis.
const spendBuffer = "litellm_spend_update_buffer"

// fleetEvidence is the numbers that speak for the causes that hold.
func (p *Poller) fleetEvidence(causes map[budget.FleetCause]bool, now time.Time) map[budget.FleetCause][]budget.Evidence {
	found := map[budget.FleetCause][]budget.Evidence{}
	if causes[budget.NoSharedCounters] {
		found[budget.NoSharedCounters] = p.sharing.Evidence(now)
	}
	if causes[budget.FlushStalled] {
		found[budget.FlushStalled] = p.judge.FlushEvidence(now)
		if n, seen := p.buffers[spendBuffer]; seen {
			found[budget.FlushStalled] = append(found[budget.FlushStalled], budget.Evidence{Name: "buffer_elements", Value: float64(n)})
		}
	}
	return found
}

// History is how both sides of an entity moved lately, oldest first: at most as far back as a cause is told from. It
// is nil for an entity that is not known.
func (p *Poller) History(id budget.ID) []budget.Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.member(id)
	if m == nil {
		return nil
	}
	return m.track.Samples()
}

// entities is the entities of one scope in the order of their ids, without what was told by counters that were not
// read for too long; and until when that stays so.
func (p *Poller) entities(r *roster, now time.Time) ([]*budget.Entity, time.Time) {
	until := now.Add(longestView)
	all := make([]*budget.Entity, 0, len(r.members))
	for _, m := range r.inOrder() {
		e := m.track.Entity()
		readAt := m.track.CounterReadAt()
		switch {
		case readAt.IsZero(): // nothing to take away
		case now.Sub(readAt) > p.options.StalenessRedis:
			e = m.bare.of(e)
		default:
			until = earlier(until, readAt.Add(p.options.StalenessRedis))
		}
		all = append(all, e)
	}
	return all, until
}

func (p *Poller) fleet(scope budget.Scope, r *roster, entities []*budget.Entity, judged bool) budget.Fleet {
	f := budget.FleetOf(entities, judged)
	f.Totals = p.judge.Totals(scope)
	f.Totals.UnreadableCounters = r.unreadable
	if judged {
		for _, m := range r.ordered {
			if gap := m.track.ReadingGap(); gap.Known && gap.Value >= f.ReadingGapMax.Value {
				f.ReadingGapMax = gap
			}
		}
	}
	return f
}

// bareView keeps the view of an entity without what its counter told.
type bareView struct {
	whole, bare *budget.Entity
}

func (v *bareView) of(e *budget.Entity) *budget.Entity {
	if v.whole != e {
		*v = bareView{whole: e, bare: reportedOnly(e)}
	}
	return v.bare
}

// reportedOnly is an entity as it would be without a Redis.
func reportedOnly(e *budget.Entity) *budget.Entity {
	bare := &budget.Entity{
		ID:         e.ID,
		Names:      e.Names,
		Reported:   e.Reported,
		ReportedAt: e.ReportedAt,
		Cap:        e.Cap,
		ResetAt:    e.ResetAt,
		Windows:    make([]budget.EntityWindow, len(e.Windows)),
		Observed:   e.Observed,
		FirstAt:    e.FirstAt,
	}
	for i, w := range e.Windows {
		w.Enforced = budget.Optional[float64]{}
		bare.Windows[i] = w
	}
	return bare
}
