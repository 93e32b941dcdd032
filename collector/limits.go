package collector

import (
	"cmp"
	"slices"
	"strings"

	"litellm_budget_exporter/collector/budget"
)

// clearMargin is by how much an entity without series must be nearer its cap (or, without a cap, have spent more)
// than the last one that has them, before it takes their place. So two that lie close together do not take
// turns, each leaving gaps in its series.
const clearMargin = 1.05

// precedence orders entities by how much one wants to see their series. It comes before nearness to the cap.
type precedence int

// The precedences, lowest first. An entity that was locked or bypassed within the last 24 hours keeps its
// series before all that are well: a lock can begin and end between two scrapes, and what rules page on is the
// time at which it was last seen.
const (
	uncapped precedence = iota
	capped
	lately
	isDiverging
	isBypassed
	isFalselyLocked
)

func precedenceOf(e *budget.Entity) precedence {
	switch {
	case e.Verdict == budget.FalselyLocked:
		return isFalselyLocked
	case e.Verdict == budget.Bypassed:
		return isBypassed
	case e.Verdict == budget.Diverging:
		return isDiverging
	case e.FalselyLockedLast.Known || e.BypassedLast.Known:
		return lately
	case e.Cap.State == budget.CapKnown:
		return capped
	default:
		return uncapped
	}
}

// nearness is how near an entity is to its cap, 1 being at it; of an entity without a cap it is the spend. A cap
// of 0 is a deliberate block, in which there is nothing to see.
func nearness(e *budget.Entity) float64 {
	spend := max(e.Reported.Value, e.Enforced.Value, 0)
	switch {
	case e.Cap.State != budget.CapKnown:
		return spend
	case e.Cap.Low <= 0:
		return 0
	default:
		return spend / e.Cap.Low
	}
}

// candidate is an entity that may get series.
type candidate struct {
	entity     *budget.Entity
	precedence precedence
	nearness   float64 // multiplied by clearMargin when it has series already
	has        bool    // series
}

// compare orders candidates by their right to series. It is total, so the choice is deterministic.
func (a candidate) compare(b candidate) int {
	if c := cmp.Compare(a.precedence, b.precedence); c != 0 {
		return c
	}
	if c := cmp.Compare(a.nearness, b.nearness); c != 0 {
		return c
	}
	if a.has != b.has {
		if a.has {
			return 1
		}
		return -1
	}
	return strings.Compare(b.entity.ID.Value, a.entity.ID.Value)
}

// choose selects the entities that get series of their own, at most limit: first those falsely locked, bypassed
// or diverging, then those lately locked or bypassed, then those nearest their cap, then those without a cap by
// spend. had are those that it chose the last time. All three lists are in the order of ids.
func choose(all, had []*budget.Entity, limit int) []*budget.Entity {
	if len(all) <= limit {
		return all
	}
	if limit <= 0 {
		return nil
	}
	// At most twice the limit are kept while going through all of them, so that a million costs little more than
	// looking at each once.
	best := make([]candidate, 0, min(2*limit, len(all)))
	cut := func() {
		slices.SortFunc(best, func(a, b candidate) int { return b.compare(a) })
		best = best[:limit]
	}
	isCut := false
	for _, e := range all {
		c := candidate{entity: e, precedence: precedenceOf(e), nearness: nearness(e)}
		for len(had) > 0 && had[0].ID.Value < e.ID.Value {
			had = had[1:]
		}
		if len(had) > 0 && had[0].ID == e.ID {
			c.has = true
			c.nearness *= clearMargin
		}
		if isCut && c.compare(best[limit-1]) < 0 {
			continue
		}
		best = append(best, c)
		if len(best) == cap(best) {
			cut()
			isCut = true
		}
	}
	cut()

	chosen := make([]*budget.Entity, limit)
	for i, c := range best {
		chosen[i] = c.entity
	}
	slices.SortFunc(chosen, func(a, b *budget.Entity) int { return strings.Compare(a.ID.Value, b.ID.Value) })
	return chosen
}
