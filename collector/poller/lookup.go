package poller

import (
	"context"
	"errors"
	"slices"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// Lookup asks LiteLLM which entities a name can mean: the one whose id it is, or else all that have it as their alias.
// That takes a few requests, where a sweep of a large fleet takes minutes. It must not be called while Run is running,
// nor where the entities are named in the configuration.
func (p *Poller) Lookup(ctx context.Context, name string) ([]*budget.Row, error) {
	var found []*budget.Row
	for _, s := range p.options.Scopes {
		if s == budget.Key && !budget.IsKeyHash(name) {
			continue
		}
		row, err := p.readOne(ctx, background, budget.ID{Scope: s, Value: name})
		switch {
		case err == nil:
			return []*budget.Row{row}, nil
		case !errors.Is(err, litellm.ErrNotFound):
			return nil, err
		}
	}
	for _, s := range p.options.Scopes {
		rows, err := p.ofAlias(ctx, s, name)
		if err != nil {
			return nil, err
		}
		found = append(found, rows...)
	}
	return found, nil
}

// ofAlias reads the entities of a scope that have an alias. LiteLLM tells of more than those.
func (p *Poller) ofAlias(ctx context.Context, s budget.Scope, alias string) (found []*budget.Row, err error) {
	read := p.options.API.KeysOfAlias
	if s == budget.Team {
		read = p.options.API.TeamsOfAlias
	}
	for n := 1; n <= maxPages; n++ {
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.Page, error) { return read(ctx, alias, n) })
		if err != nil {
			return nil, err
		}
		found = append(found, slices.DeleteFunc(page.Rows, func(r *budget.Row) bool { return r.Names.Alias != alias })...)
		if n >= page.TotalPages {
			break
		}
	}
	return found, nil
}

// Only has one entity, and the team of a key, be all that is read, from now on. What is told of a whole fleet is not
// told then. It must not be called while Run is running.
func (p *Poller) Only(row *budget.Row) {
	o := p.options
	o.Keys, o.Teams, o.one = nil, nil, true
	team := row.Names.TeamID
	if row.ID.Scope == budget.Team {
		team = row.ID.Value
	} else {
		o.Keys = []string{row.ID.Value}
	}
	if team != "" && slices.Contains(o.Scopes, budget.Team) {
		o.Teams = []string{team}
	}
	p.Reconfigure(o)
}
