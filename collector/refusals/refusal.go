package refusals

import (
	"regexp"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// The scopes whose budgets can refuse a request, besides those that are read (budget.Key, budget.Team). LiteLLM's
// budget over everything is not among them: its refusal names nobody.
const (
	TeamMember       budget.Scope = "team_member"
	User             budget.Scope = "user"
	Organization     budget.Scope = "organization"
	EndUser          budget.Scope = "end_user"
	Tag              budget.Scope = "tag"
	Project          budget.Scope = "project"
	ModelAccessGroup budget.Scope = "model_access_group"
)

// Scopes lists the scopes whose refusals are counted, in the order in which they are shown.
var Scopes = []budget.Scope{budget.Key, budget.Team, TeamMember, User, Organization, EndUser, Tag, Project, ModelAccessGroup}

// What refuses as a budget does, but is none that hangs on an entity.
const (
	Session budget.Scope = "session" // max_budget_per_session
	Router  budget.Scope = "router"  // budgets of providers, deployments and tags
)

// Refusal is one request that was refused by a budget.
type Refusal struct {
	Request uint64    // tells one request from another: a digest of its id
	At      time.Time // by LiteLLM's clock

	// Scope and ID say whose budget it was. Scope is "" where LiteLLM's wording does not tell; ID is "" where the
	// row does not.
	Scope budget.Scope
	ID    string
	Key   string // SHA-256 of the key that asked; "" where the row has none

	// Own says that it was the cap of the entity itself: not that of a time window, or for one model.
	Own    bool
	Window string // the duration of the time window that it was: "1d"

	Enforced budget.Optional[float64] // USD that were compared with the cap; with the estimate of the request where reserving it was refused
	Cap      budget.Optional[float64] // USD

	// FalseAt is when a refusal by this budget, this one or one before it, was last seen to be false: when all spend from
	// before it had had the time to be written (one write lag, or several assumed ones where it is not measured), the
	// reported spend was still below the cap that refused, and no reset came between.
	FalseAt budget.Optional[time.Time]
}

// SameBudget says that two refusals were by one budget, as far as they tell.
func (r Refusal) SameBudget(o Refusal) bool {
	return r.Scope == o.Scope && r.ID == o.ID && r.Own == o.Own && r.Window == o.Window
}

var (
	windowDuration = `[0-9]+(?:s|m|h|d|w|mo)`
	windowOf       = regexp.MustCompile(`^(.+):(` + windowDuration + `)$`)
)

// AsWindow is the refusal as one by a time window. Where reserving was refused LiteLLM names a window
// "<id>:<duration>", and an id can look like that: whose it is, who knows the entities can tell.
func (r Refusal) AsWindow() (Refusal, bool) {
	m := windowOf.FindStringSubmatch(r.ID)
	if m == nil || !r.Own {
		return r, false
	}
	r.ID, r.Window, r.Own = m[1], m[2], false
	return r, true
}
