package casebook

import (
	"fmt"
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// Recorder makes a case of explanations of one entity that follow each other. It keeps no names: keys and teams get
// stand-ins.
type Recorder struct {
	last   *explain.Explanation
	points map[budget.ID][]point
	worst  explain.Name
	cause  budget.Cause
}

// point is both sides of an entity at one time, with the cap and the next reset as they were then.
type point struct {
	explain.Point
	maxBudget Number
	resetAt   *time.Time
}

// Take takes in the next explanation: of its history, what is newer than what was taken in before.
func (r *Recorder) Take(x *explain.Explanation) {
	if r.points == nil {
		r.points = map[budget.ID][]point{}
	}
	r.last = x
	for _, b := range x.Budgets {
		if b.Window != "" {
			continue
		}
		if b.Cause != nil {
			r.worst, r.cause = b.Verdict, b.Cause.Name
		}
		id := budget.ID{Scope: b.Scope, Value: b.ID}
		history := b.History
		if len(history) == 0 { // nothing moved lately
			history = []explain.Point{{At: x.At, Reported: b.Reported, Counter: b.Counter.USD, TTL: b.Counter.TTL}}
		}
		for _, p := range history {
			if known := r.points[id]; len(known) == 0 || p.At.After(known[len(known)-1].At) {
				r.points[id] = append(known, point{p, limitOf(b), b.ResetAt})
			}
		}
	}
}

func limitOf(b *explain.Budget) Number {
	switch {
	case b.MaxBudget != nil:
		return Number{USD: *b.MaxBudget}
	case b.Cap == unlimited:
		return Number{Word: unlimited}
	}
	return Number{Word: unknown}
}

// Case is what was recorded so far.
func (r *Recorder) Case(intervals Intervals, tolerance Tolerance) *Case {
	c := &Case{Format: Format, Release: string(r.last.LiteLLM.Version), Intervals: intervals, Tolerance: tolerance}
	c.Title = fmt.Sprintf("A %s of a deployment with LiteLLM %s, with nothing to complain of", r.last.Scope, r.last.LiteLLM.Version)
	if r.cause != budget.NoCause {
		c.Title = fmt.Sprintf("A %s that was %s (%s)", r.last.Scope, strings.ReplaceAll(string(r.worst), "_", " "), r.cause)
	}
	start := r.last.At
	for _, points := range r.points {
		if points[0].At.Before(start) {
			start = points[0].At
		}
	}
	for _, b := range r.last.Budgets {
		if b.Window == "" {
			c.Entities = append(c.Entities, r.entity(b, start))
		}
	}
	return c
}

func (r *Recorder) entity(b *explain.Budget, start time.Time) *Entity {
	after := func(t *time.Time) *Span {
		if t == nil {
			return &Span{Never: true}
		}
		s := After(t.Sub(start))
		return &s
	}
	e := &Entity{Scope: b.Scope, ID: standIn(b.Scope)}
	if b.Scope == budget.Key && r.last.Team != "" {
		e.Team = standIn(budget.Team)
	}
	for _, w := range r.last.Budgets {
		if w.Window != "" && w.Scope == b.Scope && w.MaxBudget != nil {
			e.Windows = append(e.Windows, Window{Duration: string(w.Window), MaxBudget: *w.MaxBudget, ResetAt: after(w.ResetAt)})
		}
	}
	points := r.points[budget.ID{Scope: b.Scope, Value: b.ID}]
	limit, reset := points[0].maxBudget, *after(points[0].resetAt)
	e.MaxBudget, e.ResetAt = &limit, &reset
	for _, p := range points {
		reading := Reading{At: After(p.At.Sub(start)), Reported: &Number{Word: unknown}, Counter: &Number{Word: absent}}
		if p.Reported != nil {
			reading.Reported = USD(*p.Reported)
		}
		if p.Counter != nil {
			reading.Counter = USD(*p.Counter)
		}
		if p.Counter != nil && p.TTL != nil {
			reading.TTL = &Span{Never: *p.TTL < 0}
			if *p.TTL >= 0 {
				*reading.TTL = After(time.Duration(*p.TTL * float64(time.Second)))
			}
		}
		if p.maxBudget != limit {
			limit = p.maxBudget
			reading.MaxBudget = &Number{USD: limit.USD, Word: limit.Word}
		}
		if now := *after(p.resetAt); now != reset {
			reset = now
			reading.ResetAt = &Span{Duration: now.Duration, Never: now.Never}
		}
		e.Readings = append(e.Readings, reading)
	}
	return e
}

// standIn stands for an identity. A recording holds one entity of each scope.
func standIn(s budget.Scope) string { return string(s) + "-1" }
