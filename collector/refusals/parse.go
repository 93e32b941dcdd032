package refusals

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// Failure is what Parse looks at in a row of /spend/logs/v2. It is not to be kept: up to release 1.86.2 APIKey can be
// the header that the client sent, its raw key included, and Message and Traceback can quote a request.
type Failure struct {
	Request uint64 // digest of request_id
	At      time.Time
	APIKey  string

	// Of metadata.error_information.
	Class     string // error_class
	Message   string // error_message
	Traceback string // empty in 1.101.6 and later
	LimitType string // error_rate_limit_type; 1.90.7 and later

	// Also of error_information, in 1.94.3 and later.
	EntityType string // error_budget_entity_type
	EntityID   string // error_budget_entity_id
	Limit      budget.Optional[float64]
	Spend      budget.Optional[float64]
}

// Parse makes a refusal of a failed request; ok is false for one that failed for another reason than a budget. The
// fields that releases from 1.94.3 on have win over the wording. Nothing is guessed: a wording that is not known, or
// does not tell whose budget it was, gives a refusal without a scope.
func Parse(f Failure) (r Refusal, ok bool) {
	r, known := parseMessage(f)
	scope, named := entityTypes[f.EntityType]
	if !known && !named && f.Class != "BudgetExceededError" && f.LimitType != "budget" {
		return Refusal{}, false
	}
	if known && r.Scope == unenforceable {
		return Refusal{}, false
	}
	r.Request, r.At, r.Key = f.Request, f.At, keyOf(f.APIKey)
	if named {
		r.name(scope, f.EntityID)
	}
	switch {
	case r.Scope != budget.Key: // a budget of others
	case budget.IsKeyHash(f.APIKey):
		r.ID = r.Key // a key's budget refuses no other key
	case r.ID == "":
		r.ID = r.Key // by a header, which may be for somebody else where another one held the key
	}
	if f.Spend.Known {
		r.Enforced = f.Spend
	}
	if f.Limit.Known {
		r.Cap = f.Limit
	}
	return r, true
}

// entityTypes are the values of error_budget_entity_type.
var entityTypes = map[string]budget.Scope{
	"key":                budget.Key,
	"team":               budget.Team,
	"team_member":        TeamMember,
	"user":               User,
	"organization":       Organization,
	"end_user":           EndUser,
	"tag":                Tag,
	"project":            Project,
	"model_access_group": ModelAccessGroup,
}

// name takes whose budget it was by LiteLLM's own fields. A message about somebody else's tells nothing of the kind of
// budget.
func (r *Refusal) name(scope budget.Scope, id string) {
	if r.Scope != "" && r.Scope != scope {
		r.Own, r.Window, r.ID = false, "", ""
	}
	r.Scope = scope
	if id != "" {
		r.setID(id)
	}
}

// setID takes what LiteLLM named as the entity. Of a key only its hash is taken, for it can be named by its alias; a
// reservation names a key's window by "<hash>:<duration>".
func (r *Refusal) setID(id string) {
	if r.Scope == budget.Key {
		if m := windowOf.FindStringSubmatch(id); m != nil && budget.IsKeyHash(m[1]) {
			id, r.Window, r.Own = m[1], m[2], false
		}
		id = hashOrNone(id)
	}
	if budget.HoldsRawKey(id) {
		id = "" // clients choose some of them
	}
	r.ID = id
}

// header is how a client may present its key in Authorization.
var header = regexp.MustCompile(`^(?:[Bb]earer |Basic )?(sk-\S+)$`)

// keyOf is the key that asked: the hash that LiteLLM logged, or, where up to 1.86.2 it logged the header as it came,
// the hash of the raw key in that, which is LiteLLM's own name of the key; "" where there is neither.
func keyOf(logged string) string {
	if m := header.FindStringSubmatch(logged); m != nil {
		return budget.HashKey(m[1])
	}
	return hashOrNone(logged)
}

func hashOrNone(s string) string {
	if budget.IsKeyHash(s) {
		return s
	}
	return ""
}

// form is one of LiteLLM's wordings.
type form struct {
	pattern *regexp.Regexp
	read    func(r *Refusal, part func(name string) string)
}

// wording makes the pattern of a whole message, in which «name» stands for any text, and «name$» for an amount.
func wording(text string) *regexp.Regexp {
	text = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := strings.Trim(p, "«»")
		if amount, is := strings.CutSuffix(name, "$"); is {
			return `(?P<` + amount + `>[-+0-9.eE]+|None|nan|inf)`
		}
		return `(?P<` + name + `>.+)`
	})
	return regexp.MustCompile(`(?s)^(?:[0-9]{3}: )?` + text + `$`)
}

var placeholder = regexp.MustCompile(`«[a-z]+\$?»`)

// amounts ends the messages of most layers.
const amounts = `Current cost: «enforced$», (?:Estimated request cost: «estimate$», )?Max budget: «cap$»`

// unenforceable is no scope: fail_closed_budget_enforcement refuses because no spend could be read or reserved, and
// not because a budget is used up.
const unenforceable budget.Scope = "unenforceable"

// keyCheck is the function that refuses a key by its own cap, as tracebacks up to 1.90.7 name it.
const keyCheck = "_virtual_key_max_budget_check"

// who are the entities as messages call them.
var who = map[string]budget.Scope{
	"Key": budget.Key, "Team": budget.Team, "TeamMember": TeamMember, "User": User, "EndUser": EndUser, "Tag": Tag,
	"Organization": Organization, "Project": Project, "Model access group": ModelAccessGroup,
	"End User": EndUser, "Virtual Key": budget.Key,
}

// forms are the wordings of releases up to 1.109.1. Those that name nobody are dealt with in parseMessage.
var forms = []form{
	// A key by its alias at read time (1.84.10, 1.87.5, 1.91.0 and later); whatever else at read time; and all of
	// them, by their ids, where reserving the estimate was refused (1.84.0 and later).
	{wording(`Budget has been exceeded! (?P<who>Key|TeamMember|Team|User|EndUser|Tag|Organization|Project|Model access group)=«id» ` + amounts),
		func(r *Refusal, part func(string) string) {
			r.Scope, r.Own = who[part("who")], true
			id := part("id")
			if r.Scope == User && strings.Contains(id, " in Team=") {
				r.Scope, id = TeamMember, memberID(id, " in Team=")
			}
			r.setID(id)
		}},
	// A user, who may be an end user, at read time.
	{wording(`ExceededBudget: (?P<who>User|End User)=«id» over budget\. Spend=«enforced$», Budget=«cap$»`),
		func(r *Refusal, part func(string) string) {
			r.Scope, r.Own = who[part("who")], true
			r.setID(part("id"))
		}},
	// The time windows of a key and of a team at read time.
	{wording(`ExceededBudget: Key over (?P<window>` + windowDuration + `) budget\. Spend=\$«enforced$», Limit=\$«cap$»`),
		func(r *Refusal, part func(string) string) { r.Scope, r.Window = budget.Key, part("window") }},
	{wording(`ExceededBudget: Team=«id» over (?P<window>` + windowDuration + `) budget\. Spend=\$«enforced$», Limit=\$«cap$»`),
		func(r *Refusal, part func(string) string) {
			r.Scope, r.Window = budget.Team, part("window")
			r.setID(part("id"))
		}},
	// The budget for one model.
	{wording(`LiteLLM Virtual Key: «id», key_alias: «alias», exceeded budget for model=«model»`),
		func(r *Refusal, part func(string) string) {
			r.Scope = budget.Key
			r.setID(part("id"))
		}},
	// That of others: of users from 1.99.4, of teams from 1.103.11, of team members from 1.108.5 on.
	{wording(`LiteLLM (?P<who>End User|User|Team): «id», exceeded budget for model=«model»`),
		func(r *Refusal, part func(string) string) {
			r.Scope = who[part("who")]
			r.setID(part("id"))
		}},
	{wording(`LiteLLM Team Member: user=«id», exceeded budget for model=«model»`),
		func(r *Refusal, part func(string) string) {
			r.Scope = TeamMember
			r.setID(memberID(part("id"), ", team="))
		}},
	// A user before the call, up to 1.102.4.
	{wording(`Max budget limit reached\.`), func(r *Refusal, _ func(string) string) { r.Scope = User }},
	{wording(`Session budget exceeded for session «session»\. Current spend: \$«enforced$», max_budget_per_session: \$«cap$»\.`),
		func(r *Refusal, _ func(string) string) { r.Scope = Session }},
	{wording(`No deployments available - crossed budget: «what»`), func(r *Refusal, _ func(string) string) { r.Scope = Router }},
	{wording(`Budget enforcement unavailable: «what»`), func(r *Refusal, _ func(string) string) { r.Scope = unenforceable }},
}

// nobody is the wording that names nobody: of a key up to 1.90 (but for 1.84.10 and 1.87.5), a team member up to 1.97.0,
// and the budget over everything.
var nobody = wording(`Budget has been exceeded! ` + amounts)

func parseMessage(f Failure) (r Refusal, known bool) {
	if m := nobody.FindStringSubmatch(f.Message); m != nil {
		r.setAmounts(nobody, m)
		r.Own = true
		if strings.Contains(f.Traceback, keyCheck) {
			r.Scope = budget.Key
		}
		return r, true
	}
	for _, form := range forms {
		m := form.pattern.FindStringSubmatch(f.Message)
		if m == nil {
			continue
		}
		r.setAmounts(form.pattern, m)
		form.read(&r, func(name string) string { return m[form.pattern.SubexpIndex(name)] })
		return r, true
	}
	return Refusal{}, false
}

// setAmounts takes the amounts of a message.
func (r *Refusal) setAmounts(pattern *regexp.Regexp, m []string) {
	names := pattern.SubexpNames()
	if i := slices.Index(names, "enforced"); i >= 0 {
		r.Enforced = amount(m[i])
	}
	if i := slices.Index(names, "cap"); i >= 0 {
		r.Cap = amount(m[i])
	}
}

func amount(text string) budget.Optional[float64] {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return budget.Optional[float64]{}
	}
	return budget.Some(v)
}

// memberID makes LiteLLM's own id of a team member, "<user>:<team>", of a user and a team with some words between; ""
// where it cannot be told where the user's id ends.
func memberID(text, between string) string {
	user, team, found := strings.Cut(text, between)
	if !found || strings.Contains(team, between) {
		return ""
	}
	return user + ":" + team
}
