package poller

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// keepInventory reads which entities there are, every interval, and at once when a sweep is asked for. The first
// cycle done, the counters of what it found are read at once.
func (p *Poller) keepInventory(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		start := time.Now()
		next := start.Add(jittered(p.options.Inventory))
		woken := p.sweepNow
		if err := p.takeInventory(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			p.failed(budget.LiteLLM, inventoryLoop, err)
			next, woken = p.retryAt(), nil
		} else {
			p.succeeded(budget.LiteLLM, inventoryLoop)
		}
		p.options.Telemetry.ObservePoll(inventoryLoop, time.Since(start))
		if first {
			wake(p.countNow)
		}
		sleepUntil(ctx, next, woken)
	}
}

// takeInventory is one cycle: the release, then all entities.
func (p *Poller) takeInventory(ctx context.Context) error {
	select {
	case <-p.sweepNow: // this is it
	default:
	}
	p.detectRelease(ctx)
	if p.options.explicit() {
		if err := p.readExplicit(ctx); err != nil {
			return err
		}
	} else if err := p.sweep(ctx); err != nil {
		return err
	}
	if err := p.readBudgets(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastFullSweep = time.Now()
	return nil
}

// sweep reads all teams, then all keys. The teams come first: a credential that may not list them would be shown
// only its own keys, and those are not the fleet.
func (p *Poller) sweep(ctx context.Context) error {
	err := p.sweepList(ctx, list{
		scope:    budget.Team,
		endpoint: "/v2/team/list",
		page:     p.options.API.Teams,
		one:      p.options.API.Team,
	})
	if err != nil || p.rosters[budget.Key] == nil {
		return err
	}
	return p.sweepList(ctx, list{
		scope:    budget.Key,
		endpoint: "/key/list",
		page: func(ctx context.Context, page int) (litellm.Page, error) {
			return p.options.API.Keys(ctx, litellm.ByToken, page)
		},
		one:      p.options.API.Key,
		complete: p.withLinks,
		between:  p.eachInterval(),
	})
}

// eachInterval returns what is done between the pages of a sweep that takes longer than the interval: what is due
// every interval in any case. Such a stretch of a sweep counts as a cycle that succeeded. A list that has become
// shorter needs nothing here: sweeps that take so long follow each other without a pause.
func (p *Poller) eachInterval() func(context.Context) error {
	due := time.Now().Add(p.options.Inventory)
	return func(ctx context.Context) error {
		if time.Now().Before(due) {
			return nil
		}
		due = time.Now().Add(p.options.Inventory)
		p.detectRelease(ctx)
		if err := p.readNewest(ctx); err != nil {
			return err
		}
		if err := p.readBudgets(ctx); err != nil {
			return err
		}
		p.succeeded(budget.LiteLLM, inventoryLoop)
		p.refreshExpiries()
		return nil
	}
}

// refreshExpiries judges again what time alone changes, for it may be hours until the rows are read again.
func (p *Poller) refreshExpiries() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(time.Now(), func(r *budget.Row) bool { return r.TempIncrease.USD != 0 || r.Expires.Known })
}

// readNewest reads the keys made since it last did, newest first down to the page with the first known one.
func (p *Poller) readNewest(ctx context.Context) error {
	for n := 1; n <= maxPages; n++ {
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.Page, error) {
			return p.options.API.Keys(ctx, litellm.NewestFirst, n)
		})
		if err != nil {
			return err
		}
		made, err := p.withLinks(ctx, p.unknown(page.Rows))
		if err != nil {
			return err
		}
		p.takeAll(made)
		if len(made) < len(page.Rows) || n >= page.TotalPages {
			return nil
		}
	}
	return nil
}

// unknown returns the rows whose entities are not known.
func (p *Poller) unknown(rows []*budget.Row) []*budget.Row {
	p.mu.Lock()
	defer p.mu.Unlock()
	var made []*budget.Row
	for _, row := range rows {
		if p.member(row.ID) == nil {
			made = append(made, row)
		}
	}
	return made
}

// readBudgets reads the budget table, where some entity takes its cap from it: editing a budget does not touch
// the rows that are linked to it. /key/info tells a key's budget with it.
func (p *Poller) readBudgets(ctx context.Context) error {
	p.mu.Lock()
	linked := p.linked
	p.mu.Unlock()
	if !linked || p.options.byInfo() || !p.allowed(&p.budgetList) {
		return nil
	}
	budgets, err := request(ctx, p.duty, background, p.options.API.Budgets)
	if err != nil && !p.refused(&p.budgetList, err) {
		return err
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge.SetBudgets(budgets) // none after a refusal: what was read before would grow old
	p.refresh(now, func(r *budget.Row) bool { return r.Link.State == budget.LinkTo })
	return nil
}

// readExplicit reads the entities that the configuration names.
func (p *Poller) readExplicit(ctx context.Context) error {
	for _, scope := range []budget.Scope{budget.Team, budget.Key} { // teams first, for their aliases
		if p.rosters[scope] == nil {
			continue
		}
		for _, id := range explicitIDs(p.options, scope) {
			if err := p.readNamed(ctx, budget.ID{Scope: scope, Value: id}); err != nil {
				return err
			}
		}
		p.mu.Lock()
		p.rosters[scope].swept = true
		p.mu.Unlock()
	}
	return nil
}

func (p *Poller) readNamed(ctx context.Context, id budget.ID) error {
	if !p.harmless(id) {
		return nil
	}
	row, err := p.readOne(ctx, background, id)
	switch {
	case errors.Is(err, litellm.ErrNotFound):
		p.hide(id, notKnown)
		return nil
	case err != nil:
		return err
	}
	if id.Scope == budget.Key && !p.options.byInfo() {
		whole, err := p.withLinks(ctx, []*budget.Row{row})
		if err != nil {
			return err
		}
		row = whole[0]
	}
	p.mu.Lock()
	p.sources[budget.LiteLLM].progress(time.Now())
	followed := p.options.Counters != nil || !p.readingRaises(row)
	if followed {
		delete(p.unshown, id)
		p.take(row)
	}
	p.mu.Unlock()
	if !followed {
		p.hide(id, notFollowed)
	}
	return nil
}

// Why a named entity is not shown.
const (
	notKnown    = "LiteLLM does not know it"
	notFollowed = "it has time windows, and reading it makes this release raise their counters; " +
		"only a Redis in the configuration can tell when it has to be read"
)

// hide removes a named entity from what is shown, and says why once.
func (p *Poller) hide(id budget.ID, why string) {
	p.mu.Lock()
	p.remove(id)
	said := p.unshown[id] == why
	p.unshown[id] = why
	p.mu.Unlock()
	if !said {
		p.options.Logger.Warn("an entity that is read by its id is not shown",
			slog.String("scope", string(id.Scope)), slog.String("id", id.Value), slog.String("why", why))
	}
}

// harmless says whether a named entity may be read now. Where /key/info makes LiteLLM raise window counters, a key
// that has windows is read the first time and when its own counter moved: then LiteLLM does so by itself.
func (p *Poller) harmless(id budget.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.member(id)
	if m == nil {
		return p.unshown[id] != notFollowed
	}
	return !p.readingRaises(m.track.Row()) || p.judge.CounterMoved(&m.track)
}

// readingRaises says that reading a named entity can change its window counters in Redis.
func (p *Poller) readingRaises(r *budget.Row) bool { return p.options.byInfo() && p.raisesWindows(r) }

// raisesWindows says that reading a key by /key/info or /v2/key/info can change its window counters in Redis.
func (p *Poller) raisesWindows(r *budget.Row) bool {
	return r.ID.Scope == budget.Key && len(r.Windows) > 0 && p.releases.raiseWindows(time.Now())
}

// readOne reads one row by its id: singly from the list, without side effects; or, where the credential may not
// list, from the endpoint of the entity.
func (p *Poller) readOne(ctx context.Context, l lane, id budget.ID) (*budget.Row, error) {
	api := p.options.API
	read := api.Key
	switch {
	case id.Scope == budget.Team && p.options.byInfo():
		read = api.TeamInfo
	case id.Scope == budget.Team:
		read = api.Team
	case p.options.byInfo():
		read = api.KeyInfo
	}
	return request(ctx, p.duty, l, func(ctx context.Context) (*budget.Row, error) { return read(ctx, id.Value) })
}
