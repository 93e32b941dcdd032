// Package budget is the domain: entities, what was read of them, the rules by which LiteLLM
// enforces their budgets, and the judgement of the two numbers it keeps for each.
//
// It does no I/O, has no clock of its own (every function that depends on time is given it) and knows
// nothing of Prometheus, HTTP or Redis. All amounts are US dollars.
package budget

import "time"

// Scope is what a budget hangs on. Its value is the word used in metric names.
type Scope string

// The scopes that are read.
const (
	Key  Scope = "key"
	Team Scope = "team"
)

// Scopes lists the scopes in the order in which they are shown.
var Scopes = []Scope{Key, Team}

// ID is the identity of one entity. Value is LiteLLM's own: the SHA-256 of a virtual key in lower-case
// hex, or a team_id.
type ID struct {
	Scope Scope
	Value string
}

// Optional is a value that may be unknown. Its zero value is unknown, so a value that was not read is
// never taken for 0.
type Optional[T any] struct {
	Value T
	Known bool
}

// Some is a known value.
func Some[T any](v T) Optional[T] { return Optional[T]{Value: v, Known: true} }

// Names is everything of an entity that can be renamed or moved. Of a team only Alias and OrgID are set.
type Names struct {
	Alias     string
	TeamID    string
	TeamAlias string
	UserID    string
	OrgID     string
	ProjectID string
	BudgetID  string
}

// Row is one entity as the management API reported it in one answer: the reported side. It is not
// changed after it was made.
type Row struct {
	ID     ID
	ReadAt time.Time // when the answer had arrived
	Names  Names

	Spend      Optional[float64] // reported spend in USD; unknown when LiteLLM sent null
	TotalSpend Optional[float64] // lifetime spend in USD, never reset; from release 1.104.0 on

	MaxBudget    Optional[float64] // the entity's own max_budget in USD; not known = null = none
	Link         BudgetLink        // the budget it takes its cap from when it has none of its own
	TempIncrease TemporaryIncrease // metadata.temp_budget_increase, keys only
	ResetAt      Optional[time.Time]
	Windows      []Window // budget_limits, at most one of each duration: the lower cap counts

	Blocked   bool
	Expires   Optional[time.Time]
	Throttled bool // slowed down rather than refused: throttle_on_budget_exceeded and a tpm or rpm limit

	// CreatedAt and KeyName are what cannot change in a key. A batch answer of /v2/key/info drops the
	// hash and is matched by the two. KeyName ("sk-...abcd") is never shown.
	CreatedAt Optional[time.Time]
	KeyName   string
}

// LinkState says what is known of an entity's linked budget.
type LinkState uint8

// The states of a link.
const (
	LinkUnread LinkState = iota // the answer does not say whether there is one
	LinkNone                    // there is none
	LinkTo                      // there is one, named by BudgetID
)

// BudgetLink is an entity's reference to a row of LiteLLM's budget table.
type BudgetLink struct {
	State    LinkState
	BudgetID string
	Budget   Optional[LinkedBudget] // where the same answer held the budget itself
}

// LinkedBudget is a row of LiteLLM's budget table.
type LinkedBudget struct {
	ID        string
	MaxBudget Optional[float64] // USD; not known = null = none
	ResetAt   Optional[time.Time]
}

// TemporaryIncrease is added to a key's cap until it expires.
type TemporaryIncrease struct {
	USD       float64 // 0 = none
	ExpiresAt time.Time
	NoZone    bool // written without a time zone: UTC from release 1.94.3 on, the server's local time before
}

// Window is the cap of one time window (an item of budget_limits). LiteLLM's API does not tell its
// reported spend.
type Window struct {
	Duration  string // as LiteLLM writes it: "1h", "30d"
	MaxBudget Optional[float64]
	ResetAt   Optional[time.Time]
}

// CounterState says what a reading of a counter found.
type CounterState uint8

// The states of a counter.
const (
	CounterUnread     CounterState = iota // not read (yet, or in this reading)
	CounterAbsent                         // cold: LiteLLM has not touched the entity for one TTL
	CounterPresent                        // Value and TTL are valid
	CounterUnreadable                     // there is something, but it is no finite number
)

// NoExpiry is the TTL of a counter that never expires.
const NoExpiry time.Duration = -1

// Counter is one reading of a counter in Redis: the enforced side as stored.
type Counter struct {
	State     CounterState
	WrongType bool          // of an unreadable one: it is no text at all, rather than a text that is no number
	Value     float64       // USD
	TTL       time.Duration // remaining life, or NoExpiry
	ReadAt    time.Time
}

// CounterName is the name of an entity's counter in Redis without a namespace (LiteLLM 1.83.3 and later).
func CounterName(id ID) string { return "spend:" + string(id.Scope) + ":" + id.Value }

// WindowCounterName is the name of the counter of one of an entity's time windows without a namespace
// (LiteLLM 1.83.10 and later).
func WindowCounterName(id ID, duration string) string {
	return CounterName(id) + ":window:" + duration
}
