package main

import (
	"fmt"
	"os"
	"strings"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/explain"
)

// unexpected says that a case was judged and explained, and not as it expects.
type unexpected struct {
	file string
	err  error
}

func (e *unexpected) Error() string {
	return fmt.Sprintf("%s: not as the case expects: %s", e.file, strings.ReplaceAll(e.err.Error(), "\n", "; "))
}

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
	differs := r.Check()
	if o.output == "text" {
		fmt.Fprintf(p.stdout, "%s: %s\n", o.replay, explain.Clean(c.Title))
		for _, e := range r.Entities {
			fmt.Fprintf(p.stdout, "  %s\n", course(e))
		}
		if differs == nil && expects(c) {
			fmt.Fprintln(p.stdout, "  As the case expects.")
		}
	}
	asked := r.Key()
	worst := asked.Worst()
	if o.output == "text" {
		fmt.Fprintf(p.stdout, "\nThe worst moment, %s after the start (names, addresses and dates are made up):\n\n", worst.At)
	}
	if err := p.print(o, r.Explain(asked, worst)); err != nil {
		return err
	}
	if differs != nil {
		return &unexpected{o.replay, differs}
	}
	return nil
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
