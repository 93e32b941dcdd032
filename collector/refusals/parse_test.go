package refusals

import (
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

var (
	hash     = strings.Repeat("ab", 32)
	other    = strings.Repeat("cd", 32)
	at       = time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	none     = budget.Optional[float64]{}
	raw      = "Bearer sk-very-secret"
	rawHash  = budget.HashKey("sk-very-secret")
	byBudget = "BudgetExceededError"
)

// TestEveryWording has a case for each wording that a release up to 1.109.1 is known to use.
func TestEveryWording(t *testing.T) {
	some := budget.Some[float64]
	for name, c := range map[string]struct {
		f    Failure
		want Refusal
	}{
		"a key up to 1.90, by its traceback": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Current cost: 10.6085, Max budget: 10.0",
				Traceback: "  File \"auth_checks.py\", line 3284, in _virtual_key_max_budget_check\n    raise litellm.BudgetExceededError(\n"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(10.6085), Cap: some(10)},
		},
		"the same words without a traceback are anybody's": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Current cost: 10.6085, Max budget: 10.0"},
			Refusal{Key: hash, Own: true, Enforced: some(10.6085), Cap: some(10)},
		},
		"a team member up to 1.97.0, who is not named either": {
			Failure{APIKey: raw, Class: byBudget, Message: "Budget has been exceeded! Current cost: 5, Max budget: 5",
				Traceback: "  File \"user_api_key_auth.py\", line 1300, in _user_api_key_auth_builder\n"},
			Refusal{Key: rawHash, Own: true, Enforced: some(5), Cap: some(5)},
		},
		"a key by its alias": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Key=ci (sk-...q9Zw) Current cost: 0.001, Max budget: 0.0008"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(0.001), Cap: some(0.0008)},
		},
		"a key without an alias": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Key=key Current cost: 1e-05, Max budget: 0.0"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(1e-5), Cap: some(0)},
		},
		"an alias that reads like a message": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Key=a Current cost: 1.0, Max budget: 2.0 (sk-...q9Zw)\n Current cost: 3.0, Max budget: 2.5"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(3), Cap: some(2.5)},
		},
		"an alias that reads like another key": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Key=" + other + " Current cost: 3.0, Max budget: 2.5"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(3), Cap: some(2.5)},
		},
		"a reservation on a key, up to 1.86.2": {
			Failure{APIKey: raw, Class: byBudget, Message: "Budget has been exceeded! Key=" + hash + " Current cost: 12.5, Max budget: 10.0"},
			Refusal{Scope: budget.Key, ID: hash, Key: rawHash, Own: true, Enforced: some(12.5), Cap: some(10)},
		},
		"a reservation with its estimate": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Team=t-1 Current cost: 9.0, Estimated request cost: 2.5, Max budget: 10.0"},
			Refusal{Scope: budget.Team, ID: "t-1", Key: hash, Own: true, Enforced: some(9), Cap: some(10)},
		},
		"a reservation on a key's window": {
			Failure{APIKey: raw, Class: byBudget, Message: "Budget has been exceeded! Key=" + hash + ":1d Current cost: 2.5, Max budget: 2.0"},
			Refusal{Scope: budget.Key, ID: hash, Key: rawHash, Window: "1d", Enforced: some(2.5), Cap: some(2)},
		},
		"a team": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Team=Ops = 7 Current cost: 10.607, Max budget: 10.0"},
			Refusal{Scope: budget.Team, ID: "Ops = 7", Key: hash, Own: true, Enforced: some(10.607), Cap: some(10)},
		},
		"an organization": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Organization=o-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: Organization, ID: "o-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a project": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Project=p-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: Project, ID: "p-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a tag": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Tag=prod Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: Tag, ID: "prod", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a model access group": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Model access group=beta models Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: ModelAccessGroup, ID: "beta models", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a reservation on a user": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! User=u-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: User, ID: "u-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a reservation on an end user": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! EndUser=c-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: EndUser, ID: "c-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a team member, named by LiteLLM's id": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! TeamMember=u-1:t-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: TeamMember, ID: "u-1:t-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a team member, named by user and team": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! User=u-1 in Team=t-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: TeamMember, ID: "u-1:t-1", Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a team member whose name cannot be taken apart": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! User=u in Team=1 in Team=t-1 Current cost: 1.5, Max budget: 1.0"},
			Refusal{Scope: TeamMember, Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"a user": {
			Failure{Class: byBudget, Message: "ExceededBudget: User=u-1 over budget. Spend=20.5, Budget=20.0"},
			Refusal{Scope: User, ID: "u-1", Own: true, Enforced: some(20.5), Cap: some(20)},
		},
		"an end user": {
			Failure{Class: byBudget, Message: "ExceededBudget: End User=c-1 over budget. Spend=4.25, Budget=4"},
			Refusal{Scope: EndUser, ID: "c-1", Own: true, Enforced: some(4.25), Cap: some(4)},
		},
		"a user before the call, up to 1.102.4": {
			Failure{Class: "HTTPException", Message: "429: Max budget limit reached."},
			Refusal{Scope: User},
		},
		"a key's window": {
			Failure{APIKey: hash, Class: byBudget, Message: "ExceededBudget: Key over 1d budget. Spend=$2.0005, Limit=$2.00"},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Window: "1d", Enforced: some(2.0005), Cap: some(2)},
		},
		"a team's window": {
			Failure{APIKey: hash, Class: byBudget, Message: "ExceededBudget: Team=t over 1 over 30d budget. Spend=$50.1000, Limit=$50.00"},
			Refusal{Scope: budget.Team, ID: "t over 1", Key: hash, Window: "30d", Enforced: some(50.1), Cap: some(50)},
		},
		"a key's budget for a model": {
			Failure{Class: byBudget, Message: "LiteLLM Virtual Key: " + hash + ", key_alias: ci, exceeded budget for model=gpt-4o, budget_model=gpt-4o"},
			Refusal{Scope: budget.Key, ID: hash},
		},
		"an end user's budget for a model": {
			Failure{Class: byBudget, Message: "LiteLLM End User: c-1, exceeded budget for model=gpt-4o"},
			Refusal{Scope: EndUser, ID: "c-1"},
		},
		"a user's budget for a model, 1.99.4 and later": {
			Failure{Class: byBudget, Message: "LiteLLM User: u, 1, exceeded budget for model=gpt-4o"},
			Refusal{Scope: User, ID: "u, 1"},
		},
		"a team's budget for a model, 1.103.11 and later": {
			Failure{APIKey: hash, Class: byBudget, Message: "LiteLLM Team: t-1, exceeded budget for model=gpt-4o, budget_model=gpt-*"},
			Refusal{Scope: budget.Team, ID: "t-1", Key: hash},
		},
		"a team member's budget for a model, 1.108.5 and later": {
			Failure{Class: byBudget, Message: "LiteLLM Team Member: user=u-1, team=t-1, exceeded budget for model=gpt-4o"},
			Refusal{Scope: TeamMember, ID: "u-1:t-1"},
		},
		"a team member's, of whom it cannot be told where the user's id ends": {
			Failure{Class: byBudget, Message: "LiteLLM Team Member: user=u, team=1, team=t-1, exceeded budget for model=gpt-4o"},
			Refusal{Scope: TeamMember},
		},
		"the budget for a model of somebody in words to come": {
			Failure{Class: byBudget, Message: "LiteLLM Galaxy: g-1, exceeded budget for model=gpt-4o"},
			Refusal{},
		},
		"a key's window up to 1.86.2, by the header": {
			Failure{APIKey: raw, Class: byBudget, Message: "ExceededBudget: Key over 1d budget. Spend=$2.0005, Limit=$2.00"},
			Refusal{Scope: budget.Key, ID: rawHash, Key: rawHash, Window: "1d", Enforced: some(2.0005), Cap: some(2)},
		},
		"a session": {
			Failure{Class: "HTTPException", Message: "Session budget exceeded for session s-1. Current spend: $0.5012, max_budget_per_session: $0.50."},
			Refusal{Scope: Session, Enforced: some(0.5012), Cap: some(0.5)},
		},
		"the router": {
			Failure{Class: "ValueError", Message: "No deployments available - crossed budget: Exceeded budget for provider openai: 1.2 >= 1.0"},
			Refusal{Scope: Router},
		},
		"LiteLLM's own fields, 1.94.3 and later": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Key=ci (sk-...q9Zw) Current cost: 0.001, Max budget: 0.0008",
				LimitType: "budget", EntityType: "key", EntityID: hash, Spend: some(0.00096), Limit: some(0.00081)},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Own: true, Enforced: some(0.00096), Cap: some(0.00081)},
		},
		"its fields with words that name nobody": {
			Failure{APIKey: raw, Class: byBudget, Message: "Budget has been exceeded! Current cost: 1.0, Max budget: 0.5",
				EntityType: "team_member", EntityID: "u-1:t-1"},
			Refusal{Scope: TeamMember, ID: "u-1:t-1", Key: rawHash, Own: true, Enforced: some(1), Cap: some(0.5)},
		},
		"its fields do not tell a window from the whole": {
			Failure{APIKey: hash, Class: byBudget, Message: "ExceededBudget: Key over 1d budget. Spend=$2.0005, Limit=$2.00",
				EntityType: "key", EntityID: hash, Spend: some(2.00049), Limit: some(2)},
			Refusal{Scope: budget.Key, ID: hash, Key: hash, Window: "1d", Enforced: some(2.00049), Cap: some(2)},
		},
		"its fields with new words: whose, but not which of its budgets": {
			Failure{APIKey: hash, Class: byBudget, Message: "Over budget, sorry", EntityType: "team", EntityID: "t-1", Spend: some(2), Limit: some(1)},
			Refusal{Scope: budget.Team, ID: "t-1", Key: hash, Enforced: some(2), Cap: some(1)},
		},
		"its fields about another than the words": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! User=u-1 Current cost: 1.5, Max budget: 1.0", EntityType: "organization"},
			Refusal{Scope: Organization, Key: hash, Enforced: some(1.5), Cap: some(1)},
		},
		"a type of entity that is not known": {
			Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Tag=prod Current cost: 1.5, Max budget: 1.0", EntityType: "galaxy", EntityID: "g-1"},
			Refusal{Scope: Tag, ID: "prod", Key: hash, Own: true, Enforced: some(1.5), Cap: some(1)},
		},
		"new words": {
			Failure{APIKey: hash, Class: byBudget, Message: "Over budget, sorry"},
			Refusal{Key: hash},
		},
		"new words from somebody else": {
			Failure{APIKey: hash, Class: "RateLimitError", Message: "Over budget, sorry", LimitType: "budget"},
			Refusal{Key: hash},
		},
		"no message": {Failure{Class: byBudget}, Refusal{}},
		"amounts that are none": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Tag=prod Current cost: nan, Max budget: None"},
			Refusal{Scope: Tag, ID: "prod", Own: true},
		},
		"an amount that no number has": {
			Failure{Class: byBudget, Message: "Budget has been exceeded! Tag=prod Current cost: 1e999, Max budget: 1.2.3"},
			Refusal{Scope: Tag, ID: "prod", Own: true},
		},
		"a raw key in place of an id": {
			Failure{APIKey: raw, Class: byBudget, Message: "Budget has been exceeded! Tag=sk-very-secret Current cost: 1.0, Max budget: 1.0"},
			Refusal{Scope: Tag, Key: rawHash, Own: true, Enforced: some(1), Cap: some(1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.f.Request, c.f.At = 7, at
			c.want.Request, c.want.At = 7, at
			got, ok := Parse(c.f)
			if !ok || got != c.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, ok, c.want)
			}
		})
	}
}

func TestOtherFailuresAreNoRefusals(t *testing.T) {
	for _, f := range []Failure{
		{},
		{Class: "Exception", Message: "No api key passed in."},
		{Class: "RateLimitError", Message: "litellm.RateLimitError: OpenAIException - Budget has been exceeded! Current cost: 2.0, Max budget: 1.0", LimitType: "provider"},
		{Class: "ServiceUnavailableError", Message: "Budget enforcement unavailable: no spend could be read"},
		{Class: byBudget, Message: "503: Budget enforcement unavailable: the reservation could not be written"},
	} {
		if r, ok := Parse(f); ok {
			t.Errorf("%+v was taken for %+v", f, r)
		}
	}
}

// Clients choose the ids of end users and tags.
func TestARawKeyInAnIDIsNotKept(t *testing.T) {
	for _, named := range []string{"sk-very-secret", "Bearer sk-very-secret", "the key:sk-very-secret", "sk-"} {
		r, ok := Parse(Failure{APIKey: hash, Class: byBudget, Message: "Budget has been exceeded! Team=" + named + " Current cost: 2.0, Max budget: 1.0"})
		if !ok || r.Scope != budget.Team || r.ID != "" {
			t.Errorf("%q: %+v, %v", named, r, ok)
		}
	}
	if r, _ := Parse(Failure{Class: byBudget, Message: "Budget has been exceeded! Team=team-sk-1 Current cost: 2.0, Max budget: 1.0"}); r.ID != "team-sk-1" {
		t.Errorf("an id that holds the letters of one: %+v", r)
	}
}

func TestAWindowMayBeNamedLikeAnID(t *testing.T) {
	r, ok := Parse(Failure{Class: byBudget, Message: "Budget has been exceeded! Team=growth:30d Current cost: 2.0, Max budget: 1.0"})
	if !ok || r.ID != "growth:30d" || !r.Own {
		t.Fatalf("got %+v, %v", r, ok)
	}
	w, ok := r.AsWindow()
	if !ok || w.ID != "growth" || w.Window != "30d" || w.Own {
		t.Errorf("as a window: %+v, %v", w, ok)
	}
	for _, id := range []string{"growth", "growth:", "growth:30", "growth:30x", ":1d"} {
		if w, ok := (Refusal{Scope: budget.Team, ID: id, Own: true}).AsWindow(); ok {
			t.Errorf("%q is a window: %+v", id, w)
		}
	}
}

// FuzzParse looks for rows out of which something gets that must not: a raw key, a key that is no hash, an amount
// that is no number.
func FuzzParse(f *testing.F) {
	f.Add(byBudget, "Budget has been exceeded! Key=ci (sk-...q9Zw) Current cost: 0.001, Max budget: 0.0008", hash, "key", hash)
	f.Add(byBudget, "Budget has been exceeded! User=a in Team=b Current cost: 1e5, Max budget: None", raw, "", "")
	f.Add("HTTPException", "429: Max budget limit reached.", raw, "user", "sk-x")
	f.Add(byBudget, "ExceededBudget: Team=t over 1d budget. Spend=$1.0000, Limit=$1.00", "", "galaxy", "x")
	f.Add(byBudget, "LiteLLM Virtual Key: sk-1, key_alias: a, exceeded budget for model=m", raw, "team_member", "u:t")
	f.Fuzz(func(t *testing.T, class, message, apiKey, entityType, entityID string) {
		r, ok := Parse(Failure{Class: class, Message: message, APIKey: apiKey, EntityType: entityType, EntityID: entityID})
		switch {
		case !ok && r != (Refusal{}):
			t.Errorf("no refusal, and yet %+v", r)
		case r.Key != "" && !budget.IsKeyHash(r.Key), r.Scope == budget.Key && r.ID != "" && !budget.IsKeyHash(r.ID):
			t.Errorf("a key that is no hash: %+v", r)
		case strings.HasPrefix(r.ID, "sk-"):
			t.Errorf("a raw key: %+v", r)
		case r.Enforced != none && r.Enforced.Value != r.Enforced.Value:
			t.Errorf("an amount that is none: %+v", r)
		case r.Own && r.Window != "":
			t.Errorf("the whole and a window: %+v", r)
		}
	})
}
