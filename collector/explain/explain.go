// Package explain says in words and numbers what holds for one key or team: which budgets can block it, both spends of
// each, what the next request would meet, why, and what mends it. It is a view of the same snapshot and judgement that
// the metrics are made of, and does nothing: the commands it writes are for a person to run.
package explain

import (
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
	"litellm_budget_exporter/collector/refusals"
)

// Deployment is how an operator reaches what is read.
type Deployment struct {
	LiteLLMURL string // without a slash at its end
	Redis      *Redis // nil: none is configured
}

// Redis is how redis-cli reaches the counters.
type Redis struct {
	Mode       string   // standalone, sentinel or cluster
	Addresses  []string // host:port
	MasterName string   // sentinel only
	DB         int
	TLS        bool
	Namespace  string // LiteLLM's cache namespace
}

// Entity is what is known of one entity.
type Entity struct {
	Entity  *budget.Entity
	Row     *budget.Row     // as last read; nil if that is not known
	History []budget.Sample // both sides lately, oldest first

	Refusals       []refusals.Refusal         // of its last requests, the newest first; none where LiteLLM's log is not read
	RefusalsReadAt budget.Optional[time.Time] // when that log was last read for them
}

// Reading is how often both sides are read, and what is taken for normal.
type Reading struct {
	Inventory, Counters time.Duration // intervals
	ToleranceUSD        float64
	ToleranceRatio      float64
	WriteLag            time.Duration // in force: as measured, and never less than assumed
}

// Input is what an explanation is made of.
type Input struct {
	Snapshot   *budget.Snapshot
	Deployment Deployment
	Reading    Reading
	Asked      Entity
	Team       *Entity // of a key: its team; nil where it has none, or it is not read
}

// Outcome is what the next request meets at a budget.
type Outcome string

// The outcomes.
const (
	Refused  Outcome = "refused"
	Admitted Outcome = "admitted"
	Over     Outcome = "admitted_over" // admitted, although the reported spend is at the cap or above it
	NoLimit  Outcome = "no_limit"
	Slowed   Outcome = "slowed_down" // throttled rather than refused
	Unknown  Outcome = "unknown"
)

// Explanation is everything about one key or team. Its JSON form is the answer of /explain and of explain --output json;
// null is unknown. Amounts are US dollars, times are RFC 3339 in UTC.
type Explanation struct {
	At             time.Time    `json:"at"`
	LiteLLM        LiteLLM      `json:"litellm"`
	Scope          budget.Scope `json:"scope"`
	ID             string       `json:"id"` // SHA-256 of a key in lower-case hex, or a team id
	Alias          Name         `json:"alias"`
	Team           Name         `json:"team"` // of a key: its team's id
	TeamName       Name         `json:"team_alias"`
	Verdict        Name         `json:"verdict"` // the worst of the budgets: falsely_locked, bypassed, diverging, ok
	Summary        string       `json:"summary"` // in one or two sentences
	Next           NextRequest  `json:"next_request"`
	Budgets        []*Budget    `json:"budgets"`          // that can block it, as far as they are read; its own first
	NotRead        []string     `json:"not_read"`         // scopes of further budgets that can refuse the next request
	Refusals       []Refusal    `json:"refusals"`         // of its last requests, as LiteLLM logged them; the newest first
	RefusalsReadAt *time.Time   `json:"refusals_read_at"` // when that log was last read for them; null where it was not
	Problems       []string     `json:"problems"`         // what keeps the explanation from being whole

	SourcesDown []budget.Source     `json:"sources_down"` // that cannot be read now
	FleetCauses []budget.FleetCause `json:"fleet_causes"` // what is wrong with the whole fleet
	Fleet       []Fleet             `json:"fleet"`        // the same, explained; null where the fleet was not looked at
	Credentials string              `json:"credentials"`  // where the commands take theirs from
	Read        Read                `json:"reading"`
}

// Read is how often both sides are read, and what is taken for normal, as far as that is the same for all.
type Read struct {
	Inventory      float64 `json:"inventory_seconds"`
	Counters       float64 `json:"counters_seconds"`
	ToleranceUSD   float64 `json:"tolerance_usd"`
	ToleranceRatio float64 `json:"tolerance_ratio"`
	WriteLag       float64 `json:"write_lag_seconds"` // as measured, and never less than assumed
}

// LiteLLM is the release in use.
type LiteLLM struct {
	Version Name `json:"version"`
	Assumed bool `json:"assumed"` // its rules are those of the newest known release
}

// NextRequest is what the next request meets, as far as budgets are read.
type NextRequest struct {
	Outcome Outcome `json:"outcome"`
	Status  *int    `json:"status"` // HTTP status of a refusal by budget in this release
	By      Name    `json:"by"`     // the budget that refuses
	Text    string  `json:"text"`
}

// Budget is one budget: an entity's own, or that of one of its time windows.
type Budget struct {
	Scope  budget.Scope `json:"scope"`
	ID     string       `json:"id"`
	Alias  Name         `json:"alias"`
	Window Name         `json:"window"` // its duration; null = the entity's own budget

	Counter    Counter    `json:"counter"`
	Reported   *float64   `json:"reported_usd"` // of a window: in no API
	ReportedAt *time.Time `json:"reported_at"`
	Enforced   *float64   `json:"enforced_usd"`
	Cap        string     `json:"cap"`            // known, unlimited or unknown
	MaxBudget  *float64   `json:"max_budget_usd"` // the cap in force
	CapFrom    Name       `json:"cap_from"`       // where it comes from, if not from max_budget alone
	Divergence *float64   `json:"divergence_usd"`
	Tolerance  *float64   `json:"tolerance_usd"`
	ResetAt    *time.Time `json:"reset_at"`

	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"` // what the two numbers come to

	// Of an entity's own budget only.
	Blocked           *bool      `json:"blocked"`
	ExpiresAt         *time.Time `json:"expires_at"`
	Throttled         *bool      `json:"throttled"` // slowed down rather than refused
	Verdict           Name       `json:"verdict"`
	Suspected         *Suspicion `json:"suspected"` // null: nothing is
	FalselyLockedLast *time.Time `json:"falsely_locked_last"`
	BypassedLast      *time.Time `json:"bypassed_last"`
	Normal            []Normal   `json:"normal"`
	Cause             *Cause     `json:"cause"` // null: nothing diverges
	Remedies          []Remedy   `json:"remedies"`
	History           []Point    `json:"history"` // oldest first

	Look []string `json:"look"` // commands that show both numbers and change nothing
}

// Counter is a budget's counter in Redis.
type Counter struct {
	Name   string     `json:"name"`  // in full, namespace included
	State  string     `json:"state"` // present, absent, unreadable or unread
	USD    *float64   `json:"usd"`
	TTL    *float64   `json:"ttl_seconds"` // -1 = it never expires
	ReadAt *time.Time `json:"read_at"`
}

// Normal is something that the two numbers show and that is no failure.
type Normal struct {
	State cause.State `json:"state"` // cold, in_flight, write_lag, reset_pending
	Text  string      `json:"text"`
}

// Cause is why the two numbers parted.
type Cause struct {
	Name       budget.Cause       `json:"name"`
	Confidence float64            `json:"confidence"` // 0 to 1
	Evidence   map[string]float64 `json:"evidence"`
	Text       string             `json:"text"`
	Affected   *bool              `json:"release_affected"` // whether the release in use suffers from it
	Releases   string             `json:"releases"`         // which do
	Issues     []int              `json:"issues"`           // of BerriAI/litellm
}

// Refusal is a request that was refused.
type Refusal struct {
	At       time.Time `json:"at"` // by LiteLLM's clock
	Scope    Name      `json:"scope"`
	ID       Name      `json:"id"`
	Own      bool      `json:"own"`          // by the cap of that entity itself: not that of a time window, or for one model
	Window   Name      `json:"window"`       // where it was a time window's budget: its duration
	Enforced *float64  `json:"enforced_usd"` // what LiteLLM compared with the cap
	Cap      *float64  `json:"max_budget_usd"`

	FalseAt *time.Time `json:"false_at"` // when a refusal by this budget was last seen to be false: the reported spend stayed below the cap
}

// Remedy is one way to mend it.
type Remedy struct {
	Title         string   `json:"title"`
	First         []string `json:"first"`          // what must be done before, lest it gets worse
	FirstCommands []string `json:"first_commands"` // for a shell, that stop the client where it cannot be stopped otherwise
	Commands      []string `json:"commands"`       // for a shell, to run now; none where it is no command that mends it
	Later         []string `json:"later_commands"` // for a shell, that take back what was run, once it has worked
	Changes       string   `json:"changes"`
	SideEffects   []string `json:"side_effects"`
}

// Point is both sides at one time.
type Point struct {
	At       time.Time `json:"at"`
	Reported *float64  `json:"reported_usd"`
	Counter  *float64  `json:"counter_usd"`
	TTL      *float64  `json:"ttl_seconds"`

	// What held then.
	Cap       string     `json:"cap"`
	MaxBudget *float64   `json:"max_budget_usd"`
	ResetAt   *time.Time `json:"reset_at"`
	Blocked   bool       `json:"blocked"`

	LeftOut int `json:"left_out"` // so many readings between the one before and this one: in between both sides moved about in a straight line
}

// Explain explains an entity.
func Explain(in Input) *Explanation {
	e := in.Asked.Entity
	s := in.Snapshot
	x := &Explanation{
		At:             s.At.UTC(),
		LiteLLM:        LiteLLM{Name(s.Release.Version), s.Release.Assumed},
		Scope:          e.ID.Scope,
		ID:             e.ID.Value,
		Alias:          Name(e.Names.Alias),
		Team:           Name(e.Names.TeamID),
		TeamName:       Name(e.Names.TeamAlias),
		NotRead:        notRead(e, in.Team != nil),
		Refusals:       refused(in.Asked.Refusals),
		RefusalsReadAt: moment(in.Asked.RefusalsReadAt),

		FleetCauses: []budget.FleetCause{},
		Credentials: in.Deployment.credentials(),
		Read: Read{
			in.Reading.Inventory.Seconds(), in.Reading.Counters.Seconds(),
			in.Reading.ToleranceUSD, in.Reading.ToleranceRatio, in.Reading.WriteLag.Seconds(),
		},
	}
	for _, c := range budget.FleetCauses {
		if s.FleetCauses[c] {
			x.FleetCauses = append(x.FleetCauses, c)
		}
	}
	own := subject{in, in.Asked}
	x.Fleet = own.fleet()
	budgets := []*Budget{own.budget()}
	windows := own.windows()
	if in.Team != nil {
		team := subject{in, *in.Team}
		budgets = append(budgets, team.budget())
		windows = append(windows, team.windows()...)
	}
	x.Budgets = append(budgets, windows...) // in LiteLLM's order of checking
	x.Verdict = worst(x.Budgets).Verdict
	x.SourcesDown = sourcesDown(s)
	x.Problems = problems(x, s)
	x.Next = nextRequest(x, in)
	x.Summary = summary(x)
	return x
}

// Healed says that nothing is wrong with the entity any more, nor suspected of it, as far as it was judged. While it is
// not, because a source cannot be read, that is not known.
func (x *Explanation) Healed() bool {
	outage := x.Verdict == "" && len(x.SourcesDown) > 0
	return !x.Accused() && !x.Suspected() && !outage
}

// Accused says that the entity is falsely locked, bypassed or diverging.
func (x *Explanation) Accused() bool { return rank[x.Verdict] > rank[Name(budget.OK)] }

// rank orders verdicts by harm.
var rank = map[Name]int{
	Name(budget.OK): 1, Name(budget.Diverging): 2, Name(budget.Bypassed): 3, Name(budget.FalselyLocked): 4,
}

// worst is the budget with the worst verdict, the first of several.
func worst(budgets []*Budget) *Budget {
	found := budgets[0]
	for _, b := range budgets {
		if rank[b.Verdict] > rank[found.Verdict] {
			found = b
		}
	}
	return found
}

func sourcesDown(s *budget.Snapshot) []budget.Source {
	down := []budget.Source{}
	for _, name := range []budget.Source{budget.LiteLLM, budget.Redis} {
		if s.Sources[name].Problem != "" {
			down = append(down, name)
		}
	}
	return down
}

// problems says what keeps an explanation from being whole.
func problems(x *Explanation, s *budget.Snapshot) []string {
	found := []string{}
	for _, source := range []struct {
		name budget.Source
		text string
	}{{budget.LiteLLM, "LiteLLM"}, {budget.Redis, "Redis"}} {
		state, configured := s.Sources[source.name]
		switch {
		case !configured && source.name == budget.Redis:
			found = append(found, "No Redis is configured: what LiteLLM enforces is not known, and nobody can be judged.")
		case state.Problem != "":
			found = append(found, source.text+" cannot be read: "+state.Problem)
		}
	}
	diverges := func(b *Budget) bool { return b.Cause != nil }
	switch {
	case s.FleetCauses == nil && s.Sources[budget.Redis].Up && slices.ContainsFunc(x.Budgets, diverges):
		found = append(found, "The whole fleet was not looked at: whether LiteLLM's writing of spend to its database is stalled, which leaves every row behind, "+
			"is told by an exporter that has been running for some minutes (explain ID --exporter URL).")
	case !s.FleetCauses[budget.NoSharedCounters]:
	case !s.Release.Rules.Counters:
		found = append(found, "There is no counter of anybody in this Redis: LiteLLM keeps none before 1.83.3, and enforces the reported spend, up to a "+
			"minute old in the memory of each proxy.")
	default:
		found = append(found, "There is no counter of anybody in this Redis although spend rises: it is the wrong Redis, database or namespace, or "+
			"LiteLLM has no Redis for its counters. What each proxy keeps in its own memory cannot be seen.")
	}
	if s.FleetCauses[budget.FlushStalled] {
		found = append(found, "LiteLLM's writing of spend to its database is stalled: every row is behind. Mend that before anything else.")
	}
	return found
}

// notRead lists the scopes of which further budgets can refuse the next request, and are not read.
func notRead(e *budget.Entity, teamRead bool) []string {
	scopes := []string{"user", "organization", "project", "tag", "end_user", "model_access_group", "per_model", "global_proxy"}
	switch {
	case e.ID.Scope == budget.Team:
		return append([]string{"key", "team_member"}, scopes...)
	case e.Names.TeamID == "":
		return scopes
	case !teamRead:
		return append([]string{"team", "team_member"}, scopes...)
	}
	return append([]string{"team_member"}, scopes...)
}

// subject is one entity whose budgets are explained.
type subject struct {
	in Input
	Entity
}

func (s subject) release() budget.Release { return s.in.Snapshot.Release }

// fullName is a counter's name in Redis, namespace included where the counters stand behind it.
func (s subject) fullName(name string) string {
	r := s.in.Deployment.Redis
	if r == nil || r.Namespace == "" || s.in.Snapshot.CounterNames == "bare" {
		return name
	}
	return r.Namespace + ":" + name
}

// budget explains the entity's own budget.
func (s subject) budget() *Budget {
	e := s.Entity.Entity
	b := &Budget{
		Scope:             e.ID.Scope,
		ID:                e.ID.Value,
		Alias:             Name(e.Names.Alias),
		Counter:           counterOf(s.fullName(budget.CounterName(e.ID)), e.Counter),
		Reported:          pointer(e.Reported),
		ReportedAt:        moment(budget.Optional[time.Time]{Value: e.ReportedAt, Known: !e.ReportedAt.IsZero()}),
		Enforced:          pointer(e.Enforced),
		Cap:               capState(e.Cap),
		MaxBudget:         pointer(e.Cap.Exact()),
		CapFrom:           Name(s.capFrom()),
		Divergence:        pointer(e.Divergence),
		Tolerance:         pointer(e.Tolerance),
		ResetAt:           moment(e.ResetAt),
		FalselyLockedLast: moment(e.FalselyLockedLast),
		BypassedLast:      moment(e.BypassedLast),
		Verdict:           Name(e.Verdict),
		Suspected:         SuspicionOf(e.Suspected),
		Normal:            s.normal(),
		Remedies:          []Remedy{},
		History:           points(s.History),
	}
	if s.countedElsewhere() { // that there is no counter here says nothing
		b.Enforced, b.Divergence = nil, nil
	}
	if r := s.Row; r != nil {
		b.Blocked, b.Throttled, b.ExpiresAt = &r.Blocked, &r.Throttled, moment(r.Expires)
	}
	b.Outcome = s.outcome(e.Cap, e.Enforced, e.Reported, false)
	b.Text = s.text(b)
	b.Look = s.look(b)
	if e.Cause != budget.NoCause {
		b.Cause = s.cause()
		b.Remedies = s.remedies(b)
	} else if b.Suspected != nil {
		b.Remedies = s.suspectedRemedies(b)
	}
	return b
}

// windows explains the budgets of the entity's time windows.
func (s subject) windows() []*Budget {
	e := s.Entity.Entity
	found := make([]*Budget, 0, len(e.Windows))
	for _, w := range e.Windows {
		limit := budget.Cap{State: budget.CapUnlimited}
		if w.MaxBudget.Known {
			limit = budget.Cap{State: budget.CapKnown, Low: w.MaxBudget.Value, High: w.MaxBudget.Value}
		}
		b := &Budget{
			Scope:     e.ID.Scope,
			ID:        e.ID.Value,
			Alias:     Name(e.Names.Alias),
			Window:    Name(w.Duration),
			Counter:   Counter{Name: s.fullName(budget.WindowCounterName(e.ID, w.Duration)), State: "unread", USD: pointer(w.Enforced)},
			Enforced:  pointer(w.Enforced),
			Cap:       capState(limit),
			MaxBudget: pointer(limit.Exact()),
			ResetAt:   moment(w.ResetAt),
			Normal:    []Normal{},
			Look:      []string{},
			History:   []Point{},
		}
		if e.Counter.State != budget.CounterUnread {
			b.Counter.State = "absent"
		}
		if w.Enforced.Known {
			b.Counter.State = "present"
		}
		b.Outcome = s.outcome(limit, w.Enforced, budget.Optional[float64]{}, true)
		b.Text = windowText(b)
		b.Remedies = s.windowRemedies(b)
		if s.in.Deployment.Redis != nil {
			b.Look = s.redis(b.Counter.Name, "GET")
		}
		found = append(found, b)
	}
	return found
}

func counterOf(name string, c budget.Counter) Counter {
	shown := Counter{Name: name, State: "unread"}
	if !c.ReadAt.IsZero() {
		at := c.ReadAt.UTC()
		shown.ReadAt = &at
	}
	switch c.State {
	case budget.CounterAbsent:
		shown.State = "absent"
	case budget.CounterUnreadable:
		shown.State = "unreadable"
	case budget.CounterPresent:
		shown.State = "present"
		shown.USD, shown.TTL = &c.Value, seconds(c.TTL)
	}
	return shown
}

func capState(c budget.Cap) string {
	switch c.State {
	case budget.CapKnown:
		return "known"
	case budget.CapUnlimited:
		return "unlimited"
	}
	return "unknown"
}

func refused(log []refusals.Refusal) []Refusal {
	shown := make([]Refusal, 0, len(log))
	for _, r := range log {
		shown = append(shown, Refusal{
			At: r.At.UTC(), Scope: Name(r.Scope), ID: Name(r.ID), Own: r.Own, Window: Name(r.Window),
			Enforced: pointer(r.Enforced), Cap: pointer(r.Cap), FalseAt: moment(r.FalseAt),
		})
	}
	return shown
}

func points(history []budget.Sample) []Point {
	shown := make([]Point, 0, len(history))
	for _, s := range history {
		p := Point{
			At: s.At.UTC(), Reported: pointer(s.Reported), Counter: pointer(s.Counter),
			Cap: capState(s.Cap), MaxBudget: pointer(s.Cap.Exact()), ResetAt: moment(s.ResetAt), Blocked: s.Blocked, LeftOut: s.LeftOut,
		}
		if s.Counter.Known {
			p.TTL = seconds(s.TTL)
		}
		shown = append(shown, p)
	}
	return shown
}

func pointer(v budget.Optional[float64]) *float64 {
	if !v.Known {
		return nil
	}
	return &v.Value
}

func moment(t budget.Optional[time.Time]) *time.Time {
	if !t.Known {
		return nil
	}
	at := t.Value.UTC()
	return &at
}

func seconds(ttl time.Duration) *float64 {
	v := ttl.Seconds()
	if ttl == budget.NoExpiry {
		v = -1
	}
	return &v
}
