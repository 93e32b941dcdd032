package casebook

import (
	"cmp"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// Key is the entity that a case is mostly about: its first key, or else its first team.
func (r *Replay) Key() *Replayed {
	for _, p := range r.Entities {
		if p.Track.Row().ID.Scope == budget.Key {
			return p
		}
	}
	return r.Entities[0]
}

// Explain explains an entity of the case as it was after one of its steps. How to reach LiteLLM and Redis is made up.
func (r *Replay) Explain(asked *Replayed, step Step) *explain.Explanation {
	in := explain.Input{
		Snapshot: &budget.Snapshot{
			At: Start.Add(step.At), Release: r.Release, CounterNames: "prefixed",
			Sources:     map[budget.Source]budget.SourceState{budget.LiteLLM: {Up: true}, budget.Redis: {Up: true}},
			FleetCauses: step.Fleet, FleetEvidence: step.FleetEvidence,
		},
		Deployment: explain.Deployment{
			LiteLLMURL: "https://litellm.example.com",
			Redis:      &explain.Redis{Mode: "standalone", Addresses: []string{"redis.example.com:6379"}, Namespace: r.Case.Namespace},
		},
		Reading: r.Case.reading(),
		Asked:   explain.Entity{Entity: step.Entity, Row: step.Row, History: step.History, Refusals: asked.Refusals},
	}
	for _, p := range r.Entities {
		if id := p.Track.Row().ID; id.Scope == budget.Team && id.Value == step.Entity.Names.TeamID && p != asked {
			in.Team = p.at(step.At)
		}
	}
	return explain.Explain(in)
}

// at is the entity as it was last known at a time; nil before it was read.
func (p *Replayed) at(at time.Duration) *explain.Entity {
	var found *explain.Entity
	for _, s := range p.Steps {
		if s.At <= at {
			found = &explain.Entity{Entity: s.Entity, Row: s.Row, History: s.History}
		}
	}
	return found
}

// reading is how the case was read.
func (c *Case) reading() explain.Reading {
	p := c.params()
	return explain.Reading{
		Inventory: cmp.Or(c.Intervals.Inventory.Duration, defaultInventory), Counters: p.CounterInterval,
		ToleranceUSD: p.ToleranceUSD, ToleranceRatio: p.ToleranceRatio, WriteLag: p.WriteLag,
	}
}
