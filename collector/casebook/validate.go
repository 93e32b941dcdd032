package casebook

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

func (c *Case) validate() error {
	switch {
	case c.Format != Format:
		return fmt.Errorf("format is %d, and this program reads format %d", c.Format, Format)
	case c.Title == "":
		return errors.New("title is missing")
	case len(c.Entities) == 0:
		return errors.New("entities: there is none")
	case c.FleetCause != "" && !slices.Contains(budget.FleetCauses, c.FleetCause):
		return fmt.Errorf("fleet_cause is %q; take one of %q", c.FleetCause, budget.FleetCauses)
	}
	for name, s := range map[string]Span{
		"intervals.inventory": c.Intervals.Inventory, "intervals.counters": c.Intervals.Counters, "tolerance.write_lag": c.Tolerance.WriteLag,
	} {
		if s.Never || s.Duration < 0 {
			return fmt.Errorf("%s is no length of time", name)
		}
	}
	known := map[budget.ID]bool{}
	for _, e := range c.Entities {
		id := budget.ID{Scope: e.Scope, Value: e.ID}
		switch {
		case !slices.Contains(budget.Scopes, e.Scope):
			return fmt.Errorf("entities: scope is %q; take one of %v", e.Scope, budget.Scopes)
		case e.ID == "":
			return fmt.Errorf("entities: a %s has no id", e.Scope)
		case known[id]:
			return fmt.Errorf("entities: the %s %s is there twice", e.Scope, e.ID)
		}
		known[id] = true
		if err := e.validate(); err != nil {
			return fmt.Errorf("%s %s: %w", e.Scope, e.ID, err)
		}
	}
	return nil
}

func (e *Entity) validate() error {
	if err := e.MaxBudget.check("max_budget", unlimited, unknown); err != nil {
		return err
	}
	if e.TempIncrease != nil && e.TempIncrease.Until.Never {
		return errors.New("temp_increase.until must be a time")
	}
	var durations []string
	for _, w := range e.Windows {
		if w.Duration == "" || slices.Contains(durations, w.Duration) {
			return fmt.Errorf("windows: the duration %q is empty or there twice", w.Duration)
		}
		durations = append(durations, w.Duration)
	}
	if len(e.Readings) == 0 || e.Readings[0].Reported == nil {
		return errors.New("readings: the first must be there and have reported")
	}
	last := time.Duration(0)
	for i, r := range e.Readings {
		if err := r.validate(durations); err != nil {
			return fmt.Errorf("readings: at %s: %w", r.At, err)
		}
		if r.At.Duration < last {
			return fmt.Errorf("readings: at %s: it comes after one at %s", r.At, last)
		}
		last = r.At.Duration
		if r.LeftOut > 0 && (i == 0 || !r.whole() || !e.Readings[i-1].whole()) {
			return fmt.Errorf("readings: at %s: left_out needs reported and counter here and in the reading before", r.At)
		}
	}
	for _, r := range e.Refusals {
		if r.At.Never {
			return errors.New("refusals: at must be a time")
		}
		if r.Own != nil && *r.Own && r.Window != "" {
			return errors.New("refusals: by a window is not by the entity's own cap: leave out own or window")
		}
	}
	if e.Expect != nil {
		if err := e.Expect.validate(); err != nil {
			return fmt.Errorf("expect: %w", err)
		}
	}
	return nil
}

func (r Reading) validate(windows []string) error {
	row := r.TotalSpend != nil || r.MaxBudget != nil || r.ResetAt != nil || r.Blocked != nil
	switch {
	case r.At.Never || r.At.Duration < 0:
		return errors.New("at must be a time from the start of the case on")
	case r.Reported == nil && row:
		return errors.New("what changed in the row needs a reading of the row: reported is missing")
	case r.Reported == nil && r.Counter == nil:
		return errors.New("neither reported nor counter is there")
	case r.LeftOut < 0:
		return errors.New("left_out is a number of readings")
	case r.Counter == nil && (r.TTL != nil || r.Windows != nil):
		return errors.New("ttl and windows need a counter")
	}
	for duration, n := range r.Windows {
		if !slices.Contains(windows, duration) {
			return fmt.Errorf("windows: the entity has no window %q", duration)
		}
		if err := n.check("windows", absent, unreadable); err != nil {
			return err
		}
	}
	return errors.Join(
		r.Reported.check("reported", unknown),
		r.MaxBudget.check("max_budget", unlimited, unknown),
		r.Counter.check("counter", absent, unreadable),
	)
}

// whole says that it is of both sides.
func (r Reading) whole() bool { return r.Reported != nil && r.Counter != nil }

func (x *Expect) validate() error {
	verdicts := []budget.Verdict{budget.FalselyLocked, budget.Bypassed, budget.Diverging, budget.OK}
	locks := x.Verdict == budget.FalselyLocked || x.Verdict == budget.Bypassed
	switch {
	case !slices.Contains(verdicts, x.Verdict):
		return fmt.Errorf("verdict is %q; take one of %q", x.Verdict, verdicts)
	case x.Cause != budget.NoCause && !slices.Contains(budget.Causes, x.Cause):
		return fmt.Errorf("cause is %q; take one of %q", x.Cause, budget.Causes)
	case x.Verdict == budget.OK && (x.Cause != budget.NoCause || x.By != nil || x.EndsBy != nil):
		return errors.New("with verdict ok there is no cause, by or ends_by")
	case x.Episodes != nil && !locks:
		return fmt.Errorf("episodes are those of %s and %s", budget.FalselyLocked, budget.Bypassed)
	}
	return nil
}

// check says whether the number is one that a field takes.
func (n *Number) check(field string, words ...string) error {
	if n != nil && n.Word != "" && !slices.Contains(words, n.Word) {
		return fmt.Errorf("%s cannot be %s: it is an amount in USD or one of %q", field, n.Word, words)
	}
	return nil
}
