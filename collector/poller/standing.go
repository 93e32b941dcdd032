package poller

import (
	"time"

	"litellm_budget_exporter/collector/budget"
)

// Standing is how far the reading of one entity has come.
type Standing struct {
	Row     *budget.Row // as last read
	Counted bool        // its counter was read, if there is a Redis

	// UndecidedSince is since when something has been suspected of it that is not settled yet.
	UndecidedSince budget.Optional[time.Time]

	Asking bool // LiteLLM is about to be asked which of its requests it refused
}

// Standing tells how far the reading of an entity has come; ok is false while it is not known.
func (p *Poller) Standing(id budget.ID) (s Standing, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.member(id)
	if m == nil {
		return Standing{}, false
	}
	l, locked := p.log.locks[id]
	return Standing{
		Row:            m.track.Row(),
		Counted:        p.options.Counters == nil || !m.track.CounterReadAt().IsZero(),
		UndecidedSince: m.track.UndecidedSince(),
		Asking:         locked && l.read.IsZero() && !time.Now().Before(p.log.asking.askAgain),
	}, true
}

// Progress is how far the first reading of everything has come.
type Progress struct {
	Entities int  // known so far
	Total    int  // by LiteLLM's own count, as far as it told yet
	Whole    bool // every entity was read on every side
}

// Progress tells how far the first reading of everything has come.
func (p *Poller) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := Progress{Whole: true}
	for _, r := range p.rosters {
		found.Entities += len(r.members)
		found.Total += r.total
		found.Whole = found.Whole && r.swept && (p.options.Counters == nil || r.counted)
	}
	return found
}
