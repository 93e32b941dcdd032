package main

import (
	"fmt"
	"strings"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/poller"
)

// standings tells how far the reading of an entity has come.
type standings func(budget.ID) (poller.Standing, bool)

// Why an entity has no verdict.
const (
	isBlocked       = "blocked"
	hasExpired      = "expired"
	isThrottled     = "slowed down rather than refused"
	isSuspected     = "suspected and not settled yet"
	isUnreadable    = "with a counter that is no number"
	hasUnknownCap   = "with a cap that is not known"
	hasUnknownSpend = "with a spend that is not known"
)

// reasonNotToJudge is why an entity has none.
func reasonNotToJudge(s *budget.Snapshot, e *budget.Entity, of standings) string {
	standing, _ := of(e.ID)
	row := standing.Row
	switch {
	case row != nil && row.Blocked:
		return isBlocked
	case row != nil && row.Expires.Known && !s.At.Before(row.Expires.Value):
		return hasExpired
	case row != nil && row.Throttled:
		return isThrottled
	case standing.UndecidedSince.Known:
		return isSuspected
	case e.Counter.State == budget.CounterUnreadable:
		return isUnreadable
	case e.Cap.State == budget.CapUnknown && e.Reported.Known && e.Counter.State == budget.CounterPresent:
		return hasUnknownCap
	}
	return hasUnknownSpend
}

// notJudged says how many have no verdict, and why; "" if everybody has one.
func notJudged(s *budget.Snapshot, of standings) string {
	all, by := 0, map[string]int{}
	for _, entities := range s.Entities {
		for _, e := range entities {
			if e.Verdict == budget.NotJudged {
				all++
				by[reasonNotToJudge(s, e, of)]++
			}
		}
	}
	if all == 0 {
		return ""
	}
	var reasons []string
	for _, reason := range []string{isBlocked, hasExpired, isThrottled, isSuspected, isUnreadable, hasUnknownCap, hasUnknownSpend} {
		if n := by[reason]; n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", n, reason))
		}
	}
	return fmt.Sprintf("Not judged: %d (%s).\n", all, strings.Join(reasons, ", "))
}
