package casebook

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/refusals"
	"litellm_budget_exporter/collector/sharing"
)

// Start is the virtual time at which every case starts.
var Start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// What holds where a case does not say otherwise: the exporter's own defaults.
const (
	defaultInventory = time.Minute
	defaultCounters  = 15 * time.Second
	defaultWriteLag  = 15 * time.Second
	defaultUSD       = 0.01
	defaultRatio     = 0.01
	defaultTTL       = time.Minute // of a counter in LiteLLM
)

// Replay is a case judged again.
type Replay struct {
	Case     *Case
	Release  budget.Release
	End      time.Time // of the last reading
	Entities []*Replayed
	Told     map[budget.FleetCause]bool // of the fleet, at some time
}

// Replayed is one entity of a case judged again.
type Replayed struct {
	Track    judgement.Track
	Steps    []Step // after each reading
	Episodes map[budget.Verdict]int
	Refusals []refusals.Refusal // the newest first
	expect   *Expect
}

// Step is the view of an entity after a reading.
type Step struct {
	At      time.Duration // from the start of the case
	Entity  *budget.Entity
	Row     *budget.Row
	History []budget.Sample
	Fleet   map[budget.FleetCause]bool // what holds of the whole fleet, by what was read up to now

	FleetEvidence map[budget.FleetCause][]budget.Evidence // for what holds of it
}

// Seen is one reading of an entity as it goes to the judge: of its row, of its counters, or of both, the row first.
type Seen struct {
	At      time.Time
	Row     *budget.Row // as read now, or earlier
	RowRead bool

	Counter budget.Counter   // CounterUnread where only the row was read
	Windows []budget.Counter // of the row's windows, in their order
}

// Replay judges the case. The readings of all its entities are taken in by one judge, in the order of their times.
func (c *Case) Replay() *Replay {
	return c.ReplayThrough(func(s Seen) Seen { return s })
}

// ReplayThrough is Replay, with each reading as it comes back from somewhere that it was put into.
func (c *Case) ReplayThrough(world func(Seen) Seen) *Replay {
	j := judgement.New(c.params())
	r := &Replay{Case: c, Release: budget.ReleaseOf(c.Release), Told: map[budget.FleetCause]bool{}}
	j.SetRelease(r.Release)
	type event struct {
		seen Seen
		of   *Replayed
	}
	var events []event
	for _, e := range c.Entities {
		p := &Replayed{Episodes: map[budget.Verdict]int{}, Refusals: e.refused(), expect: e.Expect}
		r.Entities = append(r.Entities, p)
		row := e.row()
		for _, reading := range e.drawn() {
			row = reading.row(row)
			events = append(events, event{reading.seen(row), p})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.seen.At.Compare(b.seen.At) })
	fleet := fleet{entities: len(c.Entities), floor: c.params().ToleranceUSD}
	for _, e := range events {
		seen := world(e.seen)
		fleet.take(e.of, seen)
		e.of.take(j, seen)
		r.End = seen.At
		held := map[budget.FleetCause]bool{budget.FlushStalled: j.FlushStalled(r.End), budget.NoSharedCounters: fleet.missing()}
		for cause, holds := range held {
			r.Told[cause] = r.Told[cause] || holds
		}
		step := &e.of.Steps[len(e.of.Steps)-1]
		step.Fleet, step.FleetEvidence = held, map[budget.FleetCause][]budget.Evidence{}
		if held[budget.FlushStalled] {
			step.FleetEvidence[budget.FlushStalled] = j.FlushEvidence(r.End)
		}
		if held[budget.NoSharedCounters] {
			step.FleetEvidence[budget.NoSharedCounters] = fleet.watch.Evidence(r.End)
		}
	}
	return r
}

// fleet takes all entities of a case for a fleet, to see whether it has any counters.
type fleet struct {
	entities int
	floor    float64 // USD
	watch    sharing.Watch

	// The cycle of reading counters that is under way.
	began   time.Time
	counted map[*Replayed]bool
	present bool
}

func (f *fleet) take(p *Replayed, s Seen) {
	if s.RowRead {
		f.watch.Row(p.Track.Row(), s.Row)
	}
	if s.Counter.State == budget.CounterUnread {
		return
	}
	if len(f.counted) == 0 {
		f.began, f.counted, f.present = s.At, map[*Replayed]bool{}, false
	}
	f.counted[p] = true
	for _, c := range append(s.Windows, s.Counter) {
		f.present = f.present || c.State == budget.CounterPresent
	}
	if len(f.counted) == f.entities {
		f.watch.Cycle(f.began, true, f.present)
		f.counted = nil
	}
}

func (f *fleet) missing() bool { return f.watch.Missing(f.floor) }

func (c *Case) params() judgement.Params {
	p := judgement.Params{
		ToleranceUSD: defaultUSD, ToleranceRatio: defaultRatio,
		WriteLag: defaultWriteLag, CounterInterval: defaultCounters,
	}
	if t := c.Tolerance.USD; t != nil {
		p.ToleranceUSD = *t
	}
	if t := c.Tolerance.Ratio; t != nil {
		p.ToleranceRatio = *t
	}
	if t := c.Tolerance.WriteLag; !t.IsZero() {
		p.WriteLag = t.Duration
	}
	if i := c.Intervals.Counters; !i.IsZero() {
		p.CounterInterval = i.Duration
	}
	return p
}

// take lets the judge take in a reading: the row first, as a confirmation reads them.
func (p *Replayed) take(j *judgement.Judge, s Seen) {
	before := j.Totals(s.Row.ID.Scope)
	if s.RowRead {
		j.Row(&p.Track, s.Row)
	}
	j.Counter(&p.Track, s.Counter, s.Windows)
	after := j.Totals(s.Row.ID.Scope)
	p.Episodes[budget.FalselyLocked] += int(after.FalselyLockedEpisodes - before.FalselyLockedEpisodes) //nolint:gosec // a handful
	p.Episodes[budget.Bypassed] += int(after.BypassedEpisodes - before.BypassedEpisodes)                //nolint:gosec // a handful
	p.Steps = append(p.Steps, Step{At: s.At.Sub(Start), Entity: p.Track.Entity(), Row: p.Track.Row(), History: p.Track.Samples()})
}

// refused is the entity's refused requests, the newest first.
func (e *Entity) refused() []refusals.Refusal {
	var all []refusals.Refusal
	for _, r := range e.Refusals {
		refused := refusals.Refusal{At: Start.Add(r.At.Duration), Scope: r.Scope, Window: r.Window, Own: r.Window == "", FalseAt: r.FalseAt.moment()}
		if r.Own != nil {
			refused.Own = *r.Own
		}
		switch r.Scope {
		case e.Scope:
			refused.ID = e.ID
		case budget.Team:
			refused.ID = e.Team
		}
		if r.Enforced != nil {
			refused.Enforced = budget.Some(*r.Enforced)
		}
		if r.MaxBudget != nil {
			refused.Cap = budget.Some(*r.MaxBudget)
		}
		all = append(all, refused)
	}
	slices.SortStableFunc(all, func(a, b refusals.Refusal) int { return b.At.Compare(a.At) })
	return all
}

// row is the entity's row as it is at the start, before anything was read.
func (e *Entity) row() *budget.Row {
	row := &budget.Row{
		ID:        budget.ID{Scope: e.Scope, Value: e.ID},
		Names:     budget.Names{TeamID: e.Team},
		Blocked:   e.Blocked,
		Throttled: e.Throttled,
		Expires:   e.Expires.moment(),
		ResetAt:   e.ResetAt.moment(),
	}
	row.MaxBudget, row.Link = e.MaxBudget.limit()
	if t := e.TempIncrease; t != nil {
		row.TempIncrease = budget.TemporaryIncrease{USD: t.USD, ExpiresAt: Start.Add(t.Until.Duration), NoZone: t.NoZone}
	}
	for _, w := range e.Windows {
		row.Windows = append(row.Windows, budget.Window{Duration: w.Duration, MaxBudget: budget.Some(w.MaxBudget), ResetAt: w.ResetAt.moment()})
	}
	return row
}

// row is the row after the reading, if before is the one before.
func (r Reading) row(before *budget.Row) *budget.Row {
	if r.Reported == nil {
		return before
	}
	row := *before
	row.ReadAt = Start.Add(r.At.Duration)
	row.Spend = budget.Optional[float64]{Value: r.Reported.USD, Known: r.Reported.Word == ""}
	if r.TotalSpend != nil {
		row.TotalSpend = budget.Some(*r.TotalSpend)
	}
	if r.MaxBudget != nil {
		row.MaxBudget, row.Link = r.MaxBudget.limit()
	}
	if r.ResetAt != nil {
		row.ResetAt = r.ResetAt.moment()
	}
	if r.Blocked != nil {
		row.Blocked = *r.Blocked
	}
	return &row
}

// mostDrawn bounds the readings that are drawn in the place of left-out ones: more tell nothing new.
const mostDrawn = 240

// drawn is all readings, with some in the place of those that were left out: on the line between the two around them.
func (e *Entity) drawn() []Reading {
	var all []Reading
	for i, r := range e.Readings {
		n := min(r.LeftOut, mostDrawn)
		for k := range n {
			before := e.Readings[i-1]
			step := (r.At.Duration - before.At.Duration) / time.Duration(n+1)
			part := float64(k+1) / float64(n+1)
			all = append(all, Reading{
				At:       Span{Duration: before.At.Duration + time.Duration(k+1)*step},
				Reported: before.Reported.towards(r.Reported, part),
				Counter:  before.Counter.towards(r.Counter, part),
				TTL:      livedThrough(before.TTL, r.TTL, step),
			})
		}
		all = append(all, r)
	}
	return all
}

// towards is a number on the way to another; where either is none, it stays.
func (n *Number) towards(to *Number, part float64) *Number {
	if n.Word != "" || to.Word != "" {
		return n
	}
	return USD(n.USD + part*(to.USD-n.USD))
}

// livedThrough is the life that a counter had left between two readings: it did not run out, which would have been seen.
func livedThrough(before, after *Span, step time.Duration) *Span {
	longest := 2 * step
	for _, ttl := range []*Span{before, after} {
		switch {
		case ttl == nil:
			longest = max(longest, defaultTTL)
		case ttl.Never:
			return before
		default:
			longest = max(longest, ttl.Duration)
		}
	}
	return &Span{Duration: longest}
}

// seen is the reading for the judge, given the row as it stands with it.
func (r Reading) seen(row *budget.Row) Seen {
	s := Seen{At: Start.Add(r.At.Duration), Row: row, RowRead: r.Reported != nil}
	if r.Counter == nil {
		return s
	}
	s.Counter = r.Counter.counter(r.TTL, s.At)
	s.Windows = make([]budget.Counter, len(row.Windows))
	for i, w := range row.Windows {
		if n, given := r.Windows[w.Duration]; given {
			s.Windows[i] = n.counter(nil, s.At)
		}
	}
	return s
}

// limit is a cap as it stands in a row. One that was not read yet is a link that was not read.
func (n *Number) limit() (budget.Optional[float64], budget.BudgetLink) {
	none := budget.BudgetLink{State: budget.LinkNone}
	switch {
	case n == nil || n.Word == unlimited:
		return budget.Optional[float64]{}, none
	case n.Word == unknown:
		return budget.Optional[float64]{}, budget.BudgetLink{State: budget.LinkUnread}
	}
	return budget.Some(n.USD), none
}

// counter is a reading of a counter.
func (n Number) counter(ttl *Span, at time.Time) budget.Counter {
	c := budget.Counter{State: budget.CounterPresent, Value: n.USD, TTL: defaultTTL, ReadAt: at}
	switch {
	case n.Word == absent:
		return budget.Counter{State: budget.CounterAbsent, ReadAt: at}
	case n.Word == unreadable:
		return budget.Counter{State: budget.CounterUnreadable, ReadAt: at}
	case ttl == nil:
	case ttl.Never:
		c.TTL = budget.NoExpiry
	default:
		c.TTL = ttl.Duration
	}
	return c
}

// moment is the time that a span from the start of a case tells; unknown for never and where it is left out.
func (s *Span) moment() budget.Optional[time.Time] {
	if s == nil || s.Never {
		return budget.Optional[time.Time]{}
	}
	return budget.Some(Start.Add(s.Duration))
}

// Worst is the step with the worst verdict, the last of several.
func (p *Replayed) Worst() Step {
	worst := p.Steps[0]
	for _, s := range p.Steps {
		if rank[s.Entity.Verdict] >= rank[worst.Entity.Verdict] {
			worst = s
		}
	}
	return worst
}

// Check compares what was said with what the case expects. Its error names every entity and what differs.
func (r *Replay) Check() error {
	var wrong []error
	for _, p := range r.Entities {
		if p.expect == nil {
			continue
		}
		if err := p.check(*p.expect); err != nil {
			id := p.Track.Row().ID
			wrong = append(wrong, fmt.Errorf("%s %s: %w", id.Scope, id.Value, err))
		}
	}
	if want := r.Case.FleetCause; want != "" && !r.Told[want] {
		wrong = append(wrong, fmt.Errorf("%s is never told of the fleet", want))
	}
	return errors.Join(wrong...)
}

// rank orders verdicts by how bad they are.
var rank = map[budget.Verdict]int{budget.OK: 1, budget.Diverging: 2, budget.Bypassed: 3, budget.FalselyLocked: 4}

func (p *Replayed) check(want Expect) error {
	worst, cause := budget.NotJudged, budget.NoCause
	stoodAt, over := time.Duration(-1), time.Duration(-1)
	for _, s := range p.Steps {
		v := s.Entity.Verdict
		if rank[v] > rank[worst] {
			worst = v
		}
		if v == want.Verdict {
			cause, over = s.Entity.Cause, -1
			if stoodAt < 0 && (want.Cause == budget.NoCause || cause == want.Cause) {
				stoodAt = s.At
			}
		} else if stoodAt >= 0 && over < 0 {
			over = s.At
		}
	}
	switch {
	case worst != want.Verdict:
		return fmt.Errorf("the worst verdict is %q, want %q", worst, want.Verdict)
	case want.Cause != budget.NoCause && cause != want.Cause:
		return fmt.Errorf("%s is put down to %q, want %q", want.Verdict, cause, want.Cause)
	case want.By != nil && stoodAt > want.By.Duration:
		return fmt.Errorf("it is told at %s, want %s at the latest", stoodAt, want.By)
	case want.EndsBy == nil && want.Verdict != budget.OK && over >= 0:
		return fmt.Errorf("%s is over at %s, want to the end", want.Verdict, over)
	case want.EndsBy != nil && (over < 0 || over > want.EndsBy.Duration):
		return fmt.Errorf("%s is not over by %s", want.Verdict, want.EndsBy)
	case want.Episodes != nil && p.Episodes[want.Verdict] != *want.Episodes:
		return fmt.Errorf("%d episodes are counted, want %d", p.Episodes[want.Verdict], *want.Episodes)
	}
	return nil
}
