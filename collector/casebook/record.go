package casebook

import (
	"cmp"
	"fmt"
	"slices"
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

// point is both sides of an entity at one time, with what held of it then.
type point struct {
	explain.Point
	maxBudget Number
	resetAt   *time.Time
	blocked   bool
	windows   map[string]Number // counters of its time windows, by duration, where they were read then
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
			r.add(id, point{Point: p, maxBudget: limitOf(b), resetAt: b.ResetAt, blocked: b.Blocked != nil && *b.Blocked})
		}
		points := r.points[id]
		points[len(points)-1].windows = windowCounters(x, id)
	}
}

// add adds what is newer than what is known, and in the place of what is of the same time: of a row and a counter read
// at once the history can hold both how it was between the two and how it was after them.
func (r *Recorder) add(id budget.ID, p point) {
	known := r.points[id]
	switch last := len(known) - 1; {
	case last < 0 || p.At.After(known[last].At):
		r.points[id] = append(known, p)
	case p.At.Equal(known[last].At):
		known[last] = p
	}
}

// windowCounters are the counters of an entity's time windows as last read. Their history is not kept.
func windowCounters(x *explain.Explanation, id budget.ID) map[string]Number {
	read := map[string]Number{}
	for _, w := range x.Budgets {
		switch {
		case w.Window == "" || w.Scope != id.Scope || w.ID != id.Value:
		case w.Counter.USD != nil:
			read[string(w.Window)] = Number{USD: *w.Counter.USD}
		case w.Counter.State == absent:
			read[string(w.Window)] = Number{Word: absent}
		}
	}
	return read
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
func (r *Recorder) Case() *Case {
	read := r.last.Read
	c := &Case{
		Format: Format, Release: string(r.last.LiteLLM.Version),
		Intervals: Intervals{Inventory: seconds(read.Inventory), Counters: seconds(read.Counters)},
		Tolerance: Tolerance{USD: &read.ToleranceUSD, Ratio: &read.ToleranceRatio, WriteLag: seconds(read.WriteLag)},
	}
	c.Title = fmt.Sprintf("A %s of a deployment with LiteLLM %s, with nothing to complain of", r.last.Scope, cmp.Or(r.last.LiteLLM.Version, "of an unknown release"))
	if r.cause != budget.NoCause {
		c.Title = fmt.Sprintf("A %s that was %s (%s)", r.last.Scope, strings.ReplaceAll(string(r.worst), "_", " "), r.cause)
	}
	for _, cause := range r.last.FleetCauses {
		c.Title += fmt.Sprintf("; of the whole fleet %s was told", cause)
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
	c.Entities[0].Refusals = r.refusals(start)
	return c
}

func seconds(s float64) Span { return After(time.Duration(s * float64(time.Second))) }

// refusals are those of the entity that was asked for, without whose budget it was but for its scope.
func (r *Recorder) refusals(start time.Time) []Refusal {
	var all []Refusal
	for _, x := range slices.Backward(r.last.Refusals) { // the newest comes first there
		refusal := Refusal{At: After(x.At.Sub(start)), Scope: budget.Scope(x.Scope), Window: string(x.Window), Enforced: x.Enforced, MaxBudget: x.Cap}
		if !x.Own && x.Window == "" {
			refusal.Own = &x.Own
		}
		if x.FalseAt != nil {
			at := After(x.FalseAt.Sub(start))
			refusal.FalseAt = &at
		}
		all = append(all, refusal)
	}
	return all
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
	if b.ExpiresAt != nil {
		e.Expires = after(b.ExpiresAt)
	}
	e.Throttled = b.Throttled != nil && *b.Throttled
	for _, w := range r.last.Budgets {
		if w.Window != "" && w.Scope == b.Scope && w.MaxBudget != nil {
			e.Windows = append(e.Windows, Window{Duration: string(w.Window), MaxBudget: *w.MaxBudget, ResetAt: after(w.ResetAt)})
		}
	}
	points := r.points[budget.ID{Scope: b.Scope, Value: b.ID}]
	limit, reset, blocked := points[0].maxBudget, *after(points[0].resetAt), points[0].blocked
	e.MaxBudget, e.ResetAt, e.Blocked = &limit, &reset, blocked
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
		for _, w := range e.Windows { // not of one that is without a known cap, or is gone since
			if read, ok := p.windows[w.Duration]; ok {
				if reading.Windows == nil {
					reading.Windows = map[string]Number{}
				}
				reading.Windows[w.Duration] = read
			}
		}
		if p.maxBudget != limit {
			limit = p.maxBudget
			reading.MaxBudget = &Number{USD: limit.USD, Word: limit.Word}
		}
		if p.blocked != blocked {
			blocked = p.blocked
			reading.Blocked = &p.blocked
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
