package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
	"litellm_budget_exporter/collector/refusals"
)

// statuses are the HTTP statuses of a refusal by budget, by the first release that answers so.
var statuses = []struct {
	since  string
	status int
}{{"1.104.0", 422}, {"1.85.0", 429}, {"0.0.0", 400}}

// status is the HTTP status of a refusal by budget; unknown where the release is.
func status(r budget.Release) *int {
	for _, s := range statuses {
		if r.AtLeast(s.since) {
			return &s.status
		}
	}
	return nil
}

// refusesAt says whether a spend is refused under a cap. A key's budget, and every time window, refuses at the cap. A
// team's refuses above it, and from 1.84.0 on at it, too, because nothing is left to reserve; a cap of 0 lets a team
// without any spend pass.
func (s subject) refusesAt(spend float64, limit budget.Cap, window bool) bool {
	above := s.Entity.Entity.ID.Scope == budget.Team && !window
	if above && (limit.BlocksByIntent() || s.release().OlderThan("1.84.0")) {
		return spend > limit.High
	}
	return limit.ReachedBy(spend)
}

// outcome is what the next request meets at a budget. At that of what is blocked or expired it is refused, whatever is
// left.
func (s subject) outcome(limit budget.Cap, enforced, reported budget.Optional[float64], window bool) Outcome {
	switch {
	case !window && disabled(&s.Entity, s.in.Snapshot.At) != "":
		return Refused
	case limit.State == budget.CapUnlimited:
		return NoLimit
	case s.countedElsewhere():
		return Unknown
	case limit.State == budget.CapUnknown || !enforced.Known:
		return Unknown
	case s.refusesAt(enforced.Value, limit, window):
		if s.Row != nil && s.Row.Throttled && !window {
			return Slowed
		}
		return Refused
	case !limit.Above(enforced.Value) && limit.Low != limit.High:
		return Unknown // it depends on an expiry that cannot be told
	case reported.Known && limit.ReachedBy(reported.Value) && !limit.BlocksByIntent():
		return Over
	}
	return Admitted
}

// nextRequest is what the next request meets, all budgets that are read taken together.
func nextRequest(x *Explanation, in Input) NextRequest {
	for _, e := range []*Entity{&in.Asked, in.Team} {
		if why := disabled(e, in.Snapshot.At); why != "" {
			return NextRequest{Outcome: Refused, Text: "It is refused because " + why + ", whatever its budget."}
		}
	}
	n := NextRequest{Outcome: Admitted}
	for _, b := range x.Budgets {
		switch {
		case b.Outcome == Refused:
			n = NextRequest{Outcome: Refused, Status: status(in.Snapshot.Release), By: Name(b.Title())}
			n.Text = fmt.Sprintf("It is refused by the budget of %s: %s", n.By, n.refusal(in.Snapshot.Release, b))
			return n
		case b.Outcome == Unknown && n.Outcome != Unknown:
			n = NextRequest{Outcome: Unknown, Text: "Whether it is admitted cannot be told: " + b.doubt()}
			if (subject{in: in}).countedElsewhere() {
				n.Text = "Whether it is admitted cannot be told: LiteLLM does not count in the Redis that is read."
			}
		case n.Outcome == Admitted && (b.Outcome == Slowed || b.Outcome == Over):
			n.Outcome = b.Outcome
		}
	}
	if n.Outcome == Unknown {
		return n
	}
	n.Text = map[Outcome]string{
		Admitted: "It is admitted, as far as budgets are read.",
		Over:     "It is admitted, as far as budgets are read, although the reported spend has reached a cap.",
		Slowed:   "It is slowed down rather than refused, if LiteLLM's budget_exceeded_throttle_percentage is set.",
	}[n.Outcome]
	return n
}

// countedElsewhere says that the counters of this release are not in the Redis that is read: what there is none of there
// may well be somewhere else.
func (s subject) countedElsewhere() bool {
	return s.in.Snapshot.FleetCauses[budget.NoSharedCounters] && s.release().Rules.Counters
}

// doubt says what is not known of a budget.
func (b *Budget) doubt() string {
	switch {
	case b.Cap == "unknown":
		return "the cap of " + b.Title() + " is not known."
	case b.Cap == "known" && b.MaxBudget == nil:
		return "the cap of " + b.Title() + " has a temporary increase, and when that expires cannot be told to the hour."
	}
	return "what LiteLLM enforces of " + b.Title() + " is not known."
}

// refusal is what LiteLLM answers.
func (n NextRequest) refusal(r budget.Release, b *Budget) string {
	answer := "400 up to LiteLLM 1.84, 429 up to 1.103, 422 from 1.104 on"
	if n.Status != nil {
		answer = fmt.Sprint(*n.Status)
		if r.Assumed {
			answer += " (as in the newest known release)"
		}
	}
	text := fmt.Sprintf("HTTP %s, error type budget_exceeded, %s of %s spent.", answer, amountOf(b.Enforced), amountOf(b.MaxBudget))
	if n.Status != nil && *n.Status == 422 {
		text += " (429 with litellm_settings.budget_exceeded_status_code: 429.)"
	}
	return text
}

// disabled says why an entity is refused whatever its budget.
func disabled(e *Entity, now time.Time) string {
	if e == nil || e.Row == nil {
		return ""
	}
	switch row := e.Row; {
	case row.Blocked:
		return "the " + string(row.ID.Scope) + " is blocked"
	case row.Expires.Known && !now.Before(row.Expires.Value):
		return "the key expired at " + clock(row.Expires.Value)
	}
	return ""
}

// Title names the budget in a sentence.
func (b *Budget) Title() string {
	name := string(b.Scope) + " " + Clean(b.name())
	if b.Window != "" {
		return "the " + string(b.Window) + " window of " + name
	}
	return name
}

// name is how a person calls the entity of the budget.
func (b *Budget) name() string {
	return cmp.Or(string(b.Alias), b.ID)
}

// text says what the two numbers of an entity's own budget come to.
func (s subject) text(b *Budget) string {
	e := s.Entity.Entity
	if why := disabled(&s.Entity, s.in.Snapshot.At); why != "" {
		return "Not judged, because " + why + "."
	}
	switch e.Verdict {
	case budget.FalselyLocked:
		return fmt.Sprintf("Falsely locked: refused at %s of %s, although the books say %s, so that %s are left.",
			amountOf(b.Enforced), amountOf(b.MaxBudget), amountOf(b.Reported), left(b))
	case budget.Bypassed:
		return fmt.Sprintf("Bypassed: the books say %s of %s, and it is admitted all the same, because LiteLLM goes by %s.",
			amountOf(b.Reported), amountOf(b.MaxBudget), amountOf(b.Enforced))
	case budget.Diverging:
		if b.Suspected != nil {
			return s.divergingText(b) + " " + s.suspectedText(b)
		}
		return s.divergingText(b)
	}
	switch {
	case s.Row != nil && s.Row.Throttled:
		return "Not judged: LiteLLM slows it down when it is over budget, rather than refusing it, and how much cannot be seen."
	case b.Counter.State == "unreadable":
		return "Not judged: what stands in its counter is no number."
	case b.Reported == nil:
		return "Not judged: LiteLLM does not tell its spend."
	case s.countedElsewhere():
		return "What LiteLLM enforces is not known, for it does not count in the Redis that is read."
	case b.Enforced == nil && s.falselyRefused() != nil:
		return falselyRefusedText(s.falselyRefused())
	case b.Enforced == nil:
		return "Not judged: what LiteLLM enforces is not known."
	case b.Suspected != nil:
		return s.suspectedText(b)
	case b.Cap == "unknown":
		return "Its cap is not read yet, so whether it is locked cannot be told."
	case e.Cap.BlocksByIntent():
		return "A cap of 0 is a deliberate block."
	case e.Verdict == budget.NotJudged:
		return "Not judged yet."
	case b.Outcome == Refused:
		return s.exhausted(b)
	case b.Outcome == NoLimit && agree(b):
		return "It has no cap, and the two numbers agree."
	case b.Outcome == NoLimit:
		return "It has no cap. " + s.agreement(b)
	}
	if r := s.refusedForMore(); r != nil && b.Outcome == Admitted {
		return fmt.Sprintf("%s But LiteLLM refused it at %s, at %s of %s, which is more than the counter holds now: with the request's own estimate, "+
			"with reservations that were given back since, or by a number that is not in this Redis.",
			s.agreement(b), clock(r.At), amountOf(pointer(r.Enforced)), amountOf(pointer(r.Cap)))
	}
	return s.agreement(b)
}

// lately is for how long a refusal says something about now.
const lately = 10 * time.Minute

// ownRefusal is the last refusal by the entity's own cap, which need not be lately; nil where none is known.
func (s subject) ownRefusal() *refusals.Refusal {
	id := s.Entity.Entity.ID
	for _, r := range s.Refusals { // the newest first
		if r.Own && r.Scope == id.Scope && r.ID == id.Value {
			return &r
		}
	}
	return nil
}

// falselyRefused is the last refusal by the entity's own cap, where it or one before it was false lately and the cap is
// not reached since; else nil.
func (s subject) falselyRefused() *refusals.Refusal {
	r, e := s.ownRefusal(), s.Entity.Entity
	if r == nil || !r.FalseAt.Known || s.in.Snapshot.At.Sub(r.FalseAt.Value) > lately {
		return nil
	}
	if !e.Reported.Known || e.Cap.State != budget.CapKnown || !e.Cap.Above(e.Reported.Value) {
		return nil
	}
	return r
}

// falselyRefusedText tells of a false refusal. What LiteLLM compared then is known where no refusal came after it.
func falselyRefusedText(r *refusals.Refusal) string {
	amounts := ""
	if r.FalseAt.Value.Equal(r.At) {
		amounts = fmt.Sprintf(", at %s of %s in LiteLLM's log", amountOf(pointer(r.Enforced)), amountOf(pointer(r.Cap)))
	}
	return fmt.Sprintf("Falsely refused at %s%s, although the books stayed below the cap. What it enforces now is not known.",
		clock(r.FalseAt.Value), amounts)
}

// refusedForMore is the last refusal by the entity's own cap, where it was lately, at more than the counter holds, and
// nothing is known that explains it: neither another cap since nor a reset. Else it is nil.
func (s subject) refusedForMore() *refusals.Refusal {
	r, e := s.ownRefusal(), s.Entity.Entity
	if r == nil || s.in.Snapshot.At.Sub(r.At) > lately || !r.Enforced.Known || !r.Cap.Known || s.spendFellSince(r.At) {
		return nil
	}
	inForce := e.Cap.Exact()
	if !inForce.Known || math.Abs(r.Cap.Value-inForce.Value) > budget.Noise(inForce.Value) {
		return nil
	}
	if e.Counter.State != budget.CounterPresent || e.Counter.Value >= r.Enforced.Value-budget.Noise(r.Enforced.Value) {
		return nil
	}
	return r
}

// spendFellSince says that the reported spend was seen to fall after a time, by a reset or an edit.
func (s subject) spendFellSince(since time.Time) bool {
	before := budget.Optional[float64]{}
	for _, p := range s.History {
		if !p.Reported.Known {
			continue
		}
		if before.Known && p.At.After(since) && p.Reported.Value < before.Value {
			return true
		}
		before = p.Reported
	}
	return false
}

// left is what the books leave of a budget.
func left(b *Budget) string {
	if b.MaxBudget == nil || b.Reported == nil {
		return "some"
	}
	return Amount(*b.MaxBudget - *b.Reported)
}

// windowText says what the budget of a time window comes to. Of its counter nothing but the last reading is kept.
func windowText(b *Budget) string {
	const notTold = "What was spent in it is in no API, and of its counter only the last reading is kept."
	switch {
	case b.Outcome == Refused:
		return "Out of budget, by the number that LiteLLM enforces. " + notTold
	case b.Counter.State == "absent":
		return "There is no counter that could be read: what LiteLLM will enforce is not known before the next request. " + notTold
	}
	return notTold
}

// normal lists what the two numbers show that is no failure.
func (s subject) normal() []Normal {
	found := []Normal{}
	for _, state := range cause.Normal(s.Entity.Entity, s.History, s.in.Snapshot.At) {
		if state == cause.Cold && s.in.Snapshot.FleetCauses[budget.NoSharedCounters] {
			continue // nobody's counter is there
		}
		text := state.Sentence()
		if state == cause.Cold && s.in.Snapshot.FleetCauses == nil && s.release().Rules.Counters {
			text += " If it was used within that time, this is another Redis, database or namespace than LiteLLM's: one entity alone does not tell."
		}
		found = append(found, Normal{state, text})
	}
	return found
}

// Summarised says that the summary is what there is to say of a budget. Of others, of which the same could be said, it has
// not been.
func (x *Explanation) Summarised(b *Budget) bool {
	first := slices.IndexFunc(x.Budgets, func(b *Budget) bool { return b.Text == x.Summary })
	return first >= 0 && x.Budgets[first] == b
}

// summary says what matters most: what is wrong, else what is suspected, else what refuses, else that nothing does.
func summary(x *Explanation) string {
	matters := x.Budgets[0]
	for _, b := range x.Budgets[1:] {
		if matter(b) > matter(matters) {
			matters = b
		}
	}
	switch {
	case matters == x.Budgets[0]:
		return matters.Text
	case matters.Window != "":
		return upper(matters.Title()) + ": " + lower(matters.Text)
	}
	return "Its team: " + lower(matters.Text)
}

// matter orders budgets by what there is to say of them.
func matter(b *Budget) int {
	const verdicts = 10 // more than there are
	switch {
	case rank[b.Verdict] > rank[Name(budget.OK)]:
		return 2*verdicts + rank[b.Verdict]
	case b.Suspected != nil:
		return verdicts + rank[b.Suspected.Verdict]
	case b.Outcome == Refused:
		return 1
	}
	return 0
}
