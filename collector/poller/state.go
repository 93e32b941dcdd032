package poller

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/sharing"
)

// member is one entity that is known.
type member struct {
	track judgement.Track
	bare  bareView
	sweep uint32 // the sweep that last came by it
	gone  bool   // it was removed; a loop may still hold it

	resetSeen time.Time // when a row was last read that showed that spend had been reset since the one before
	locked    bool      // it is falsely locked
}

// roster is the entities of one scope.
type roster struct {
	members map[string]*member
	ordered []*member // by id, as of the last call of inOrder. Never changed, only replaced.
	added   []*member // since then
	lost    bool      // one was removed since then
	sweep   uint32    // the sweep under way, or the last
	swept   bool      // it was read completely at least once
	counted bool      // so were the counters of all, since
	total   int       // entities in LiteLLM's list when it was last read

	unreadable uint64 // readings of counters that were no number, since start
}

// inOrder lists the members by id. Those that came since it was called last are merged in: while a first sweep goes
// on, sorting all of them for each snapshot would take longer than the sweep.
func (r *roster) inOrder() []*member {
	if len(r.added) == 0 && !r.lost {
		return r.ordered
	}
	slices.SortFunc(r.added, byID)
	merged := make([]*member, 0, len(r.ordered)+len(r.added))
	rest := r.added
	for _, m := range r.ordered {
		for len(rest) > 0 && byID(rest[0], m) < 0 {
			merged, rest = append(merged, rest[0]), rest[1:]
		}
		merged = append(merged, m)
	}
	merged = append(merged, rest...)
	if r.lost {
		merged = slices.DeleteFunc(merged, func(m *member) bool { return m.gone })
	}
	r.ordered, r.added, r.lost = merged, nil, false
	return r.ordered
}

func byID(a, b *member) int { return cmp.Compare(a.id(), b.id()) }

func (m *member) id() string { return m.track.Row().ID.Value }

// state is everything that was read. It is guarded by Poller.mu.
type state struct {
	judge    *judgement.Judge
	releases releases
	sources  map[budget.Source]*source
	rosters  map[budget.Scope]*roster
	aliases  map[string]string     // of teams, by team id, those out of scope included
	suspects map[*member]time.Time // entities under suspicion, and before when not to try to confirm it
	unshown  map[budget.ID]string  // why named entities are not shown, as was said in the log

	linked     bool // some entity takes its cap from the budget table
	budgetList optional
	keyLinks   optional

	lastFullSweep time.Time
	buffers       map[string]int64
	counterNames  string
	sharing       sharing.Watch
	log           refusalLog

	bufferMistyped bool                          // a buffer was no list when they were read last
	unreadableAt   map[counters.Reason]time.Time // when counters last were no numbers; without what is over
}

func newState(o Options) state {
	s := state{
		judge:      judgement.New(o.Judge),
		releases:   releases{inUse: budget.ReleaseOf("")},
		sources:    map[budget.Source]*source{budget.LiteLLM: newSource(budget.LiteLLM)},
		rosters:    map[budget.Scope]*roster{},
		aliases:    map[string]string{},
		suspects:   map[*member]time.Time{},
		unshown:    map[budget.ID]string{},
		budgetList: optional{what: "the budget table"},
		keyLinks:   optional{what: "the linked budgets of keys"},
		buffers:    map[string]int64{},
		log:        newRefusalLog(),

		unreadableAt: map[counters.Reason]time.Time{},
	}
	if o.Counters != nil {
		s.sources[budget.Redis] = newSource(budget.Redis)
	}
	for _, scope := range o.Scopes {
		s.rosters[scope] = &roster{members: map[string]*member{}}
	}
	return s
}

// reconfigure keeps what the new options still read, and tries again what the old ones were refused.
func (p *Poller) reconfigure(before, now Options) {
	p.judge.SetParams(now.Judge)
	fresh := newState(now)
	for scope, r := range fresh.rosters {
		if kept, ok := p.rosters[scope]; ok {
			*r = *kept
		}
	}
	p.rosters = fresh.rosters
	if before.Version != now.Version {
		p.releases = fresh.releases
	}
	p.budgetList, p.keyLinks, p.unshown = fresh.budgetList, fresh.keyLinks, fresh.unshown
	p.log.asking = fresh.log.asking
	for name, s := range fresh.sources {
		if kept, ok := p.sources[name]; ok {
			s.lastSuccess, s.tried = kept.lastSuccess, kept.tried
			for loop, f := range kept.failing {
				if now.Counters != nil || loop == inventoryLoop {
					s.failing[loop] = failure{text: f.text} // without its reason it is told again if it goes on
				}
			}
		}
	}
	p.sources = fresh.sources
	if !sameEntities(before, now) {
		for scope, r := range p.rosters {
			r.swept, r.counted = false, false
			if now.explicit() {
				p.keepOnly(scope, explicitIDs(now, scope))
			}
		}
	}
	for m := range p.suspects {
		if m.gone || p.member(m.track.Row().ID) == nil {
			delete(p.suspects, m)
		}
	}
}

func sameEntities(a, b Options) bool {
	return slices.Equal(a.Keys, b.Keys) && slices.Equal(a.Teams, b.Teams)
}

func explicitIDs(o Options, s budget.Scope) []string {
	if s == budget.Team {
		return o.Teams
	}
	return o.Keys
}

func (p *Poller) keepOnly(scope budget.Scope, ids []string) {
	for id := range p.rosters[scope].members {
		if !slices.Contains(ids, id) {
			p.remove(budget.ID{Scope: scope, Value: id})
		}
	}
}

// member is a known entity, nil if it is not known.
func (p *Poller) member(id budget.ID) *member {
	if r := p.rosters[id.Scope]; r != nil {
		return r.members[id.Value]
	}
	return nil
}

// take takes in a row that was read, of a known entity or a new one. Rows of scopes that are not read are dropped.
func (p *Poller) take(row *budget.Row) {
	if row.ID.Scope == budget.Team {
		p.aliases[row.ID.Value] = row.Names.Alias
	}
	r := p.rosters[row.ID.Scope]
	if r == nil {
		return
	}
	m := r.members[row.ID.Value]
	if m == nil {
		m = &member{}
		r.members[row.ID.Value] = m
		r.added = append(r.added, m)
	}
	row = p.completed(row, m.track.Row())
	p.linked = p.linked || row.Link.State == budget.LinkTo
	p.sharing.Row(m.track.Row(), row)
	if resetBetween(m.track.Row(), row) {
		m.resetSeen = row.ReadAt
	}
	p.judge.Row(&m.track, row)
	p.judged(m)
}

// takeAll takes in rows.
func (p *Poller) takeAll(rows []*budget.Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, row := range rows {
		p.take(row)
	}
}

// completed adds to a row what its answer did not hold: the alias of the team, and the link to a budget where the
// endpoint does not tell it but another did before.
func (p *Poller) completed(row, before *budget.Row) *budget.Row {
	whole := *row
	if alias, ok := p.aliases[row.Names.TeamID]; ok && row.ID.Scope == budget.Key {
		whole.Names.TeamAlias = alias
	}
	if row.Link.State == budget.LinkUnread && before != nil {
		whole.Link = before.Link
	}
	return &whole
}

// judged keeps the lists of suspects and of those that became locked, after an entity was judged.
func (p *Poller) judged(m *member) {
	p.snapshot = nil
	p.watchLock(m)
	if _, suspected := m.track.Suspicion(); !suspected {
		delete(p.suspects, m)
	} else if _, known := p.suspects[m]; !known {
		p.suspects[m] = time.Time{}
		wake(p.confirmNow)
	}
}

// remove forgets an entity.
func (p *Poller) remove(id budget.ID) {
	r := p.rosters[id.Scope]
	m := p.member(id)
	if m == nil {
		return
	}
	delete(r.members, id.Value)
	m.gone, r.lost = true, true
	delete(p.suspects, m)
	p.snapshot = nil
}

// refresh judges again those whose rows the change may matter to.
func (p *Poller) refresh(now time.Time, concerns func(*budget.Row) bool) {
	for _, r := range p.rosters {
		for _, m := range r.members {
			if concerns(m.track.Row()) {
				p.judge.Refresh(&m.track, now)
				p.judged(m)
			}
		}
	}
}

// optional is a kind of reading that a credential may be refused without its loop failing: what it would have
// told stays unknown.
type optional struct {
	what     string
	askAgain time.Time
}

// ungranted are the reasons that say that the credential may not read something.
var ungranted = []litellm.Reason{litellm.Unauthorized, litellm.Forbidden, litellm.NotAdmin}

// refusedFor is for how long LiteLLM is not asked again for what it refused.
const refusedFor = 10 * time.Minute

// allowed says whether to ask.
func (p *Poller) allowed(o *optional) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !time.Now().Before(o.askAgain)
}

// refused says whether an error is a refusal; then it is counted and logged, and LiteLLM left alone for a while.
func (p *Poller) refused(o *optional, err error) bool {
	reason := reasonOf(err)
	if !slices.Contains(ungranted, litellm.Reason(reason)) {
		return false
	}
	p.mu.Lock()
	o.askAgain = time.Now().Add(refusedFor)
	p.mu.Unlock()
	p.options.Telemetry.CountError(string(budget.LiteLLM), reason)
	p.options.Logger.Warn("LiteLLM refuses to tell; what depends on it stays unknown",
		slog.String("what", o.what), slog.String("reason", reason), slog.String("problem", err.Error()))
	return true
}
