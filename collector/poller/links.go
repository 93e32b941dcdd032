package poller

import (
	"context"
	"errors"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// batchSize is how many keys are asked for at once by POST /v2/key/info.
const batchSize = 100

// withLinks completes rows of /key/list that do not say whether the key is linked to a budget: so it is up to
// 1.87.5, where /v2/key/info tells it. Keys with a cap of their own need no link: their own cap wins.
func (p *Poller) withLinks(ctx context.Context, rows []*budget.Row) ([]*budget.Row, error) {
	p.mu.Lock()
	var unread []*budget.Row
	for _, row := range rows {
		if row.Link.State == budget.LinkUnread && !row.MaxBudget.Known && !p.raisesWindows(row) {
			unread = append(unread, row)
		}
	}
	p.mu.Unlock()
	if len(unread) == 0 || !p.allowed(&p.keyLinks) {
		return rows, nil
	}
	links, err := p.readLinks(ctx, unread)
	if err != nil && !p.refused(&p.keyLinks, err) {
		return nil, err
	}
	whole := make([]*budget.Row, len(rows))
	for i, row := range rows {
		whole[i] = row
		if link, ok := links[row.ID]; ok {
			linked := *row
			linked.Link = link
			whole[i] = &linked
		}
	}
	return whole, nil
}

// readLinks reads the links of keys: in batches, and singly what a batch leaves open.
func (p *Poller) readLinks(ctx context.Context, rows []*budget.Row) (map[budget.ID]budget.BudgetLink, error) {
	links := map[budget.ID]budget.BudgetLink{}
	for len(rows) > 0 {
		batch := rows[:min(batchSize, len(rows))]
		rows = rows[len(batch):]
		matched, unmatched, err := p.readBatch(ctx, batch)
		if err != nil {
			return links, err
		}
		for _, row := range matched {
			links[row.ID] = row.Link
		}
		for _, hash := range unmatched {
			row, err := request(ctx, p.duty, background, func(ctx context.Context) (*budget.Row, error) {
				return p.options.API.KeyInfo(ctx, hash)
			})
			if errors.Is(err, litellm.ErrNotFound) {
				continue // gone since the page was read
			}
			if err != nil {
				return links, err
			}
			links[row.ID] = row.Link
		}
	}
	return links, nil
}

// readBatch reads keys by POST /v2/key/info, and tells which row is whose. The hashes it could not tell are
// unmatched.
func (p *Poller) readBatch(ctx context.Context, known []*budget.Row) (matched []*budget.Row, unmatched []string, err error) {
	hashes := make([]string, len(known))
	for i, row := range known {
		hashes[i] = row.ID.Value
	}
	answer, err := request(ctx, p.duty, background, func(ctx context.Context) ([]*budget.Row, error) {
		return p.options.API.KeysInfo(ctx, hashes)
	})
	if err != nil {
		return nil, nil, err
	}
	matched, unmatched = litellm.MatchKeys(known, answer)
	return matched, unmatched, nil
}
