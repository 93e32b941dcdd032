package poller

import (
	"context"
	"errors"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// keepRows reads the rows that moved after each cycle of the counters: Redis says who moved, the API by how much.
func (p *Poller) keepRows(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.rowsNow:
		}
		if time.Now().Before(p.retryAt()) {
			continue // the next cycle of the counters asks again
		}
		start := time.Now()
		moved := p.moved()
		if len(moved) == 0 {
			p.idled(budget.LiteLLM, rowsLoop)
			continue
		}
		if err := p.readMoved(ctx, moved); ctx.Err() != nil {
			return
		} else if err != nil {
			p.failed(budget.LiteLLM, rowsLoop, err)
		} else {
			p.succeeded(budget.LiteLLM, rowsLoop)
		}
		p.options.Telemetry.ObservePoll(rowsLoop, time.Since(start))
	}
}

// moved is the rows of the entities whose row is worth reading again: those that are watched first, then those
// whose counter moved.
func (p *Poller) moved() []*budget.Row {
	members, _ := p.everyone()
	var watched, moved []*budget.Row
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range members {
		row := m.track.Row()
		byCounter := p.judge.CounterMoved(&m.track)
		switch {
		case !byCounter && !m.track.Watched():
		case p.readingRaises(row) && !byCounter:
		case byCounter:
			moved = append(moved, row)
		default:
			watched = append(watched, row)
		}
	}
	return append(watched, moved...)
}

// readMoved reads rows again by the cheapest way that has no side effects.
func (p *Poller) readMoved(ctx context.Context, rows []*budget.Row) error {
	var teams, single, batch []*budget.Row
	p.mu.Lock()
	for _, row := range rows {
		switch {
		case row.ID.Scope == budget.Team:
			teams = append(teams, row)
		case p.options.explicit() || p.raisesWindows(row):
			single = append(single, row)
		default:
			batch = append(batch, row)
		}
	}
	p.mu.Unlock()
	if err := p.readMovedTeams(ctx, teams); err != nil {
		return err
	}
	for len(batch) > 0 {
		some := batch[:min(batchSize, len(batch))]
		batch = batch[len(some):]
		matched, unmatched, err := p.readBatch(ctx, some)
		if err != nil {
			return err
		}
		p.mu.Lock()
		for _, row := range matched {
			p.takeKnown(row)
		}
		p.mu.Unlock()
		p.progressed()
		for _, hash := range unmatched {
			if err := p.readAgain(ctx, background, budget.ID{Scope: budget.Key, Value: hash}); err != nil {
				return err
			}
		}
	}
	return p.readEach(ctx, single)
}

// readMovedTeams reads teams singly, or all pages where those are fewer.
func (p *Poller) readMovedTeams(ctx context.Context, teams []*budget.Row) error {
	p.mu.Lock()
	pages := 0
	if r := p.rosters[budget.Team]; r != nil {
		pages = (r.total + litellm.PageSize - 1) / litellm.PageSize
	}
	p.mu.Unlock()
	if p.options.explicit() || len(teams) <= pages {
		return p.readEach(ctx, teams)
	}
	for n := 1; n <= maxPages; n++ {
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.Page, error) {
			return p.options.API.Teams(ctx, n)
		})
		if err != nil {
			return err
		}
		p.mu.Lock()
		for _, row := range page.Rows {
			p.takeKnown(row)
		}
		p.mu.Unlock()
		p.progressed()
		if n >= page.TotalPages {
			break
		}
	}
	return nil
}

func (p *Poller) readEach(ctx context.Context, rows []*budget.Row) error {
	for _, row := range rows {
		if err := p.readAgain(ctx, background, row.ID); err != nil {
			return err
		}
	}
	return nil
}

// readAgain reads the row of a known entity singly. One that LiteLLM does not know any more was deleted, or its key
// was regenerated: a sweep finds out.
func (p *Poller) readAgain(ctx context.Context, l lane, id budget.ID) error {
	row, err := p.readOne(ctx, l, id)
	if errors.Is(err, litellm.ErrNotFound) {
		wake(p.sweepNow)
		return nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takeKnown(row)
	p.sources[budget.LiteLLM].progress(time.Now())
	return nil
}

// takeKnown takes in a row if its entity is still known: others come with the inventory.
func (p *Poller) takeKnown(row *budget.Row) {
	if p.member(row.ID) != nil {
		p.take(row)
	}
}
