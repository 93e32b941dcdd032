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
	worst  budget.Verdict
	cause  budget.Cause // under that verdict
}

// point is both sides of an entity at one time, with what held of it then.
type point struct {
	explain.Point
	windows map[string]Number // counters of its time windows, by duration, where they were read then
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
		id := budget.ID{Scope: b.Scope, Value: b.ID}
		history := b.History
		if len(history) == 0 { // nothing moved lately
			history = []explain.Point{{
				At: x.At, Reported: b.Reported, Counter: b.Counter.USD, TTL: b.Counter.TTL,
				Cap: b.Cap, MaxBudget: b.MaxBudget, ResetAt: b.ResetAt, Blocked: b.Blocked != nil && *b.Blocked,
			}}
		}
		for i, p := range history {
			if i > 0 {
				p.LeftOut = r.leftOut(id, history[i-1].At, p)
			}
			r.add(id, point{Point: p})
		}
		points := r.points[id]
		if v := worstSince(b, points[0].At); rank[v] > rank[r.worst] || v == r.worst && b.Cause != nil {
			r.worst, r.cause = v, budget.NoCause
			if b.Cause != nil {
				r.cause = b.Cause.Name
			}
		}
		points[len(points)-1].windows = windowCounters(x, id)
	}
}

// worstSince is the worst verdict on a budget that is known to have held since a time.
func worstSince(b *explain.Budget, since time.Time) budget.Verdict {
	held := func(last *time.Time) bool { return last != nil && !last.Before(since) }
	switch {
	case held(b.FalselyLockedLast):
		return budget.FalselyLocked
	case held(b.BypassedLast):
		return budget.Bypassed
	}
	return budget.Verdict(b.Verdict)
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

// leftOut is how many readings before a point remain left out, given the point before it in its history: those up to what
// was taken in before are not.
func (r *Recorder) leftOut(id budget.ID, before time.Time, p explain.Point) int {
	known := r.points[id]
	if len(known) == 0 {
		return p.LeftOut
	}
	last := known[len(known)-1].At
	if !last.After(before) || !p.At.After(last) {
		return p.LeftOut
	}
	return int(float64(p.LeftOut) * float64(p.At.Sub(last)) / float64(p.At.Sub(before)))
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

// limit is the cap in force then.
func (p point) limit() Number {
	switch {
	case p.MaxBudget != nil:
		return Number{USD: *p.MaxBudget}
	case p.Cap == unlimited:
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
	if rank[r.worst] > rank[budget.OK] {
		c.Title = fmt.Sprintf("A %s that was %s", r.last.Scope, strings.ReplaceAll(string(r.worst), "_", " "))
		if r.cause != budget.NoCause {
			c.Title += fmt.Sprintf(" (%s)", r.cause)
		}
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
	limit, reset, blocked := points[0].limit(), *after(points[0].ResetAt), points[0].Blocked
	e.MaxBudget, e.ResetAt, e.Blocked = &Number{limit.USD, limit.Word}, &Span{reset.Duration, reset.Never}, blocked
	for i, p := range points {
		reading := Reading{At: After(p.At.Sub(start)), Reported: &Number{Word: unknown}, Counter: &Number{Word: absent}}
		if i > 0 {
			reading.LeftOut = p.LeftOut
		}
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
		if now := p.limit(); now != limit {
			limit = now
			reading.MaxBudget = &Number{USD: limit.USD, Word: limit.Word}
		}
		if p.Blocked != blocked {
			blocked = p.Blocked
			reading.Blocked = &p.Blocked
		}
		if now := *after(p.ResetAt); now != reset {
			reset = now
			reading.ResetAt = &Span{Duration: now.Duration, Never: now.Never}
		}
		e.Readings = append(e.Readings, reading)
	}
	return e
}

// standIn stands for an identity. A recording holds one entity of each scope.
func standIn(s budget.Scope) string { return string(s) + "-1" }
