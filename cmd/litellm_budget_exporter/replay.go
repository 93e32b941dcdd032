package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/explain"
)

// replay judges a recorded case again and explains its worst moment. Nothing is read but the file.
func (p *program) replay(o explainOptions) error {
	f, err := os.Open(o.replay)
	if err != nil {
		return fmt.Errorf("--replay: %w", err)
	}
	defer f.Close()
	c, err := casebook.Read(f)
	if err != nil {
		return fmt.Errorf("--replay %s: %w", o.replay, err)
	}
	r := c.Replay()
	if o.output == "text" {
		fmt.Fprintf(p.stdout, "%s: %s\n", o.replay, explain.Clean(c.Title))
		for _, e := range r.Entities {
			fmt.Fprintf(p.stdout, "  %s\n", course(e))
		}
		switch err := r.Check(); {
		case err != nil:
			fmt.Fprintf(p.stdout, "  Not as the case expects: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		case expects(c):
			fmt.Fprintln(p.stdout, "  As the case expects.")
		}
		fmt.Fprintln(p.stdout, "\nThe worst moment:")
		fmt.Fprintln(p.stdout)
	}
	return p.print(o, worstMoment(r))
}

// course tells the verdicts of an entity in their order.
func course(p *casebook.Replayed) string {
	id := p.Track.Row().ID
	var verdicts []string
	said := ""
	for _, s := range p.Steps {
		now := string(s.Entity.Verdict)
		if now == "" {
			now = "not judged"
		}
		if s.Entity.Cause != budget.NoCause {
			now += " (" + string(s.Entity.Cause) + ")"
		}
		if now = words(now); now != said {
			verdicts = append(verdicts, fmt.Sprintf("%s from %s", now, s.At))
			said = now
		}
	}
	return fmt.Sprintf("%s %s: %s to %s", id.Scope, explain.Clean(id.Value), strings.Join(verdicts, ", "), p.Steps[len(p.Steps)-1].At)
}

func expects(c *casebook.Case) bool {
	for _, e := range c.Entities {
		if e.Expect != nil {
			return true
		}
	}
	return false
}

// worstMoment explains the first key of a case, or else its first team, at the moment at which it was worst.
func worstMoment(r *casebook.Replay) *explain.Explanation {
	asked := r.Entities[0]
	for _, p := range r.Entities {
		if p.Track.Row().ID.Scope == budget.Key {
			asked = p
			break
		}
	}
	step := asked.Worst()
	at := casebook.Start.Add(step.At)
	in := explain.Input{
		Snapshot: &budget.Snapshot{
			At: at, Release: r.Release, CounterNames: "prefixed",
			Sources: map[budget.Source]budget.SourceState{budget.LiteLLM: {Up: true}, budget.Redis: {Up: true}},
		},
		Deployment: explain.Deployment{
			LiteLLMURL: "https://litellm.example.com",
			Redis:      &explain.Redis{Mode: "standalone", Addresses: []string{"redis.example.com:6379"}, Namespace: r.Case.Namespace},
		},
		Asked: explain.Entity{Entity: step.Entity, Row: asked.Track.Row(), History: step.History},
	}
	for _, p := range r.Entities {
		if id := p.Track.Row().ID; id.Scope == budget.Team && id.Value == step.Entity.Names.TeamID && p != asked {
			in.Team = stepAt(p, step.At)
		}
	}
	return explain.Explain(in)
}

// stepAt is an entity as it was last known at a time.
func stepAt(p *casebook.Replayed, at time.Duration) *explain.Entity {
	var found *explain.Entity
	for _, s := range p.Steps {
		if s.At <= at {
			found = &explain.Entity{Entity: s.Entity, Row: p.Track.Row(), History: s.History}
		}
	}
	return found
}
