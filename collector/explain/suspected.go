package explain

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// Suspicion is a verdict that readings suggest and that is not confirmed.
type Suspicion struct {
	Verdict Name       `json:"verdict"` // the worst that is suspected
	Since   time.Time  `json:"since"`   // the first reading that gave rise to it
	Due     *time.Time `json:"due"`     // from when on readings settle it; null = the next one does
}

// SuspicionOf is what is suspected of an entity; nil = nothing is.
func SuspicionOf(s *budget.Suspicion) *Suspicion {
	if s == nil {
		return nil
	}
	return &Suspicion{Verdict: Name(s.Verdict), Since: s.Since.UTC(), Due: moment(s.Due)}
}

// Settled says when the suspicion is settled.
func (s *Suspicion) Settled() string {
	if s.Due == nil {
		return "the next reading settles it"
	}
	return "readings from " + clock(*s.Due) + " on settle it"
}

// Suspected says that something is suspected of one of the budgets that is not settled yet.
func (x *Explanation) Suspected() bool {
	return slices.ContainsFunc(x.Budgets, func(b *Budget) bool { return b.Suspected != nil })
}

// SuspectedSince says that something has been suspected of one of the budgets since a time, or for longer, that is not
// settled yet.
func (x *Explanation) SuspectedSince(t time.Time) bool {
	return slices.ContainsFunc(x.Budgets, func(b *Budget) bool { return b.Suspected != nil && !b.Suspected.Since.After(t) })
}

// suspectedText says what is suspected of an entity's own budget, by which numbers, and when it is settled.
func (s subject) suspectedText(b *Budget) string {
	limit, verdict := s.Entity.Entity.Cap, budget.Verdict(b.Suspected.Verdict)
	reached := limit.State == budget.CapKnown && b.Enforced != nil && limit.ReachedBy(*b.Enforced)
	var looks string
	switch {
	case verdict == budget.FalselyLocked && reached:
		looks = fmt.Sprintf("It looks falsely locked: refused at %s of %s, although the books say %s. That is what it is, unless as much was truly spent and is on its way to them",
			amountOf(b.Enforced), amountOf(b.MaxBudget), amountOf(b.Reported))
	case verdict == budget.FalselyLocked:
		looks = "It looked falsely locked, and the numbers no longer show it: whether it was one is told by the books when all spend from before is in them"
	case verdict == budget.Bypassed:
		looks = fmt.Sprintf("It looks bypassed: the books say %s of %s, and it is admitted all the same, because LiteLLM goes by %s",
			amountOf(b.Reported), amountOf(b.MaxBudget), amountOf(b.Enforced))
	case never(b):
		looks = fmt.Sprintf("Its counter, at %s, has no end of life, which may be so for a moment while LiteLLM writes to it", amountOf(b.Counter.USD))
	case agree(b):
		looks = fmt.Sprintf("LiteLLM goes by %s and reports %s. Requests in flight can explain as much for now, up to %s. It is diverging if that lasts",
			amountOf(b.Enforced), amountOf(b.Reported), amountOf(b.Tolerance))
	default:
		looks = fmt.Sprintf("LiteLLM goes by %s and reports %s, which are further apart than the %s that are normal for it now. It is diverging if that lasts",
			amountOf(b.Enforced), amountOf(b.Reported), amountOf(b.Tolerance))
	}
	return fmt.Sprintf("Suspected since %s. %s; %s.", clock(b.Suspected.Since), looks, b.Suspected.Settled())
}

// suspectedRemedies lists what does no harm whatever the suspicion turns out to be.
func (s subject) suspectedRemedies(b *Budget) []Remedy {
	wait := Remedy{
		Title:    "Wait until it is settled",
		Commands: []string{Command(s.Entity.Entity.ID.Value, "--watch")},
		Changes:  "Nothing. What mends it depends on whether, and why, it is so: " + b.Suspected.Settled() + ".",
	}
	found := []Remedy{wait.whole()}
	if r, ok := raiseCap(s, b); ok && budget.Verdict(b.Suspected.Verdict) == budget.FalselyLocked {
		r.First = append(r.First, "Only where the client cannot wait: if the budget is truly spent, this lets it spend past it.")
		found = append(found, r.whole())
	}
	if r, ok := block(s, b); ok && budget.Verdict(b.Suspected.Verdict) == budget.Bypassed {
		found = append(found, r.whole())
	}
	return found
}

// agree says that the two numbers are as near to each other as is normal now.
func agree(b *Budget) bool {
	return b.Divergence == nil || b.Tolerance == nil || math.Abs(*b.Divergence) <= *b.Tolerance+dust
}

// agreement says how near the two numbers are, where nothing is suspected.
func (s subject) agreement(b *Budget) string {
	if agree(b) {
		return "The two numbers agree, as far as is normal for it now."
	}
	ratio := s.in.Reading.ToleranceRatio
	switch {
	case math.Abs(*b.Divergence) <= ratio*max(math.Abs(*b.Enforced), math.Abs(*b.Reported)):
		return fmt.Sprintf("LiteLLM goes by %s and reports %s. What is between them is no more than %s %% of it, and too little to count.",
			amountOf(b.Enforced), amountOf(b.Reported), strconv.FormatFloat(100*ratio, 'g', 3, 64))
	case *b.Divergence > 0:
		return fmt.Sprintf("LiteLLM goes by %s and reports %s. As much as is between them was spent lately, and is on its way to the database.",
			amountOf(b.Enforced), amountOf(b.Reported))
	}
	return fmt.Sprintf("LiteLLM goes by %s and reports %s, which are further apart than the %s that are normal for it now. It is diverging if that lasts.",
		amountOf(b.Enforced), amountOf(b.Reported), amountOf(b.Tolerance))
}

// exhausted says what is known of a budget that refuses and of which nothing is suspected.
func (s subject) exhausted(b *Budget) string {
	e := s.Entity.Entity
	switch {
	case s.refusesAt(e.Reported.Value, e.Cap, false):
		return "Out of budget, by both numbers: a genuine refusal."
	case agree(b):
		return fmt.Sprintf("Out of budget, by the number that LiteLLM enforces: %s of %s. The books say %s, as near to it as is normal now.",
			amountOf(b.Enforced), amountOf(b.MaxBudget), amountOf(b.Reported))
	}
	return fmt.Sprintf("Out of budget, by the number that LiteLLM enforces: %s of %s. Whether it is a false lock cannot be told now: the books say %s.",
		amountOf(b.Enforced), amountOf(b.MaxBudget), amountOf(b.Reported))
}

// divergingText says why an entity is called diverging: by a number that no time could make right, or by how far the two
// are apart.
func (s subject) divergingText(b *Budget) string {
	numbers := fmt.Sprintf("LiteLLM goes by %s and reports %s", amountOf(b.Enforced), amountOf(b.Reported))
	if !agree(b) {
		numbers += fmt.Sprintf(", which are further apart than the %s that are normal for it now", amountOf(b.Tolerance))
	}
	switch {
	case b.Reported != nil && *b.Reported < 0:
		return fmt.Sprintf("Diverging: the reported spend is %s, and no spend is below 0. %s.", amountOf(b.Reported), numbers)
	case b.Counter.USD != nil && *b.Counter.USD < 0:
		return fmt.Sprintf("Diverging: the counter is at %s, and no spend is below 0. %s.", amountOf(b.Counter.USD), numbers)
	case s.Entity.Entity.Cause == budget.Immortal:
		return fmt.Sprintf("Diverging: the counter, at %s, has no end of life, so that nothing makes it begin again from the row. %s.",
			amountOf(b.Counter.USD), numbers)
	}
	return "Diverging: " + numbers + "."
}
