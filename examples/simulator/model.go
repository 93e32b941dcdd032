package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Key is a virtual key: its database row. An empty string or zero time is null.
type Key struct {
	Hash string // SHA-256 of Raw in lower-case hex; AddKey derives it
	Raw  string // the bearer, "sk-…"; AddKey makes one up when there is neither Raw nor Hash
	Name string // "sk-...abcd"; AddKey derives it

	Alias     string
	UserID    string
	TeamID    string
	OrgID     string
	ProjectID string

	Spend          float64  // USD: reported spend
	TotalSpend     float64  // USD, never reset; in answers from 1.104.9 on
	MaxBudget      *float64 // USD; nil = none of its own
	BudgetID       string   // the linked budget, whose cap counts when MaxBudget is nil
	BudgetDuration string   // "1d", "30d"
	ResetAt        time.Time
	Windows        []Window

	Metadata      map[string]any // temp_budget_increase and temp_budget_expiry raise the cap
	TPMLimit      *int64
	RPMLimit      *int64
	AllowedRoutes []string
	Blocked       bool
	Expires       time.Time

	CreatedAt  time.Time // AddKey: the model's time
	UpdatedAt  time.Time
	LastActive time.Time
}

// Window is a budget for a length of time, an item of budget_limits.
type Window struct {
	Duration  string // "1h", "1d", "30d"
	MaxBudget float64
	ResetAt   time.Time
	Spend     float64 // USD in the spend logs since the window began; in no answer
}

// Team is a team's row.
type Team struct {
	ID    string
	Alias string
	OrgID string

	Spend          float64
	MaxBudget      *float64
	BudgetDuration string
	ResetAt        time.Time
	Windows        []Window
	Members        []Member
	Metadata       map[string]any
	Blocked        bool

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Member is a user's membership in a team.
type Member struct {
	UserID     string
	Email      string
	Role       string // "admin" or "user"
	BudgetID   string // the budget that caps the member
	Spend      float64
	TotalSpend float64
}

// User is a user's row.
type User struct {
	ID             string
	Role           Role
	Spend          float64
	MaxBudget      *float64
	BudgetDuration string
	ResetAt        time.Time
}

// Organization is an organization's row.
type Organization struct {
	ID       string
	Spend    float64
	BudgetID string
}

// Budget is a row of the budget table, which keys, members and organizations link to.
type Budget struct {
	ID         string
	MaxBudget  *float64
	SoftBudget *float64
	Duration   string
	ResetAt    time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// uiTeam is the team of the sessions of LiteLLM's own UI. Its keys are no virtual keys of anybody's.
const uiTeam = "litellm-dashboard"

// database is what LiteLLM keeps in Postgres.
type database struct {
	keys          map[string]*Key // by hash
	teams         map[string]*Team
	users         map[string]*User
	organizations map[string]*Organization
	budgets       map[string]*Budget
	tags          map[string]*float64 // spend
	endUsers      map[string]*float64 // spend
	teamKeys      map[string]int      // how many keys each team has
	log           []*logged           // requests, in the order in which they were written

	// The keys in the orders that pages are cut from; nil when they have to be sorted again.
	byToken, byCreated []*Key
}

func newDatabase() *database {
	return &database{
		keys: map[string]*Key{}, teams: map[string]*Team{}, users: map[string]*User{},
		organizations: map[string]*Organization{}, budgets: map[string]*Budget{},
		tags: map[string]*float64{}, endUsers: map[string]*float64{}, teamKeys: map[string]int{},
	}
}

func (d *database) put(k *Key) {
	d.keys[k.Hash] = k
	d.teamKeys[k.TeamID]++
	d.byToken, d.byCreated = nil, nil
}

func (d *database) remove(k *Key) {
	delete(d.keys, k.Hash)
	d.teamKeys[k.TeamID]--
	d.byToken, d.byCreated = nil, nil
}

// inTokenOrder are the keys in ascending order of their hashes.
func (d *database) inTokenOrder() []*Key {
	if d.byToken == nil {
		d.byToken = d.sorted(func(a, b *Key) int { return cmp.Compare(a.Hash, b.Hash) })
	}
	return d.byToken
}

// inDefaultOrder are the keys by creation, the newest first.
func (d *database) inDefaultOrder() []*Key {
	if d.byCreated == nil {
		d.byCreated = d.sorted(func(a, b *Key) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Hash, a.Hash))
		})
	}
	return d.byCreated
}

func (d *database) sorted(compare func(a, b *Key) int) []*Key {
	keys := make([]*Key, 0, len(d.keys))
	for _, k := range d.keys {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// account names one thing that spends: whose row and counter a request's cost goes to.
type account struct {
	scope    scope
	id       string // of a member: user:team
	duration string // of a window
}

type scope string

const (
	keyScope      scope = "key"
	teamScope     scope = "team"
	memberScope   scope = "team_member"
	userScope     scope = "user"
	orgScope      scope = "org"
	tagScope      scope = "tag"
	endUserScope  scope = "end_user"
	memberIDSplit       = ":"
)

func (a account) isWindow() bool { return a.duration != "" }

// counter is the account's counter in Redis, without a namespace.
func (a account) counter() string {
	name := "spend:" + string(a.scope) + ":" + a.id
	if a.isWindow() {
		name += ":window:" + a.duration
	}
	return name
}

// KeyCounter is the name of a key's counter, TeamCounter of a team's; without a namespace.
func KeyCounter(hash string) string { return account{scope: keyScope, id: hash}.counter() }

// TeamCounter is the name of a team's counter, without a namespace.
func TeamCounter(id string) string { return account{scope: teamScope, id: id}.counter() }

// WindowCounter is the name of the counter of one window of the key or team whose counter is given.
func WindowCounter(counter, duration string) string { return counter + ":window:" + duration }

// ledger is where a row keeps what its account spent.
type ledger struct {
	spend      *float64
	total      *float64   // nil where there is none
	updatedAt  *time.Time // nil where there is none
	lastActive *time.Time // nil where there is none
}

// ledger finds an account's row; ok is false when it is gone.
func (d *database) ledger(a account) (l ledger, ok bool) {
	switch a.scope {
	case keyScope:
		if k := d.keys[a.id]; k != nil {
			if a.isWindow() {
				return windowLedger(k.Windows, a.duration)
			}
			return ledger{&k.Spend, &k.TotalSpend, &k.UpdatedAt, &k.LastActive}, true
		}
	case teamScope:
		if t := d.teams[a.id]; t != nil {
			if a.isWindow() {
				return windowLedger(t.Windows, a.duration)
			}
			return ledger{spend: &t.Spend, updatedAt: &t.UpdatedAt}, true
		}
	case memberScope:
		if m := d.member(a.id); m != nil {
			return ledger{spend: &m.Spend, total: &m.TotalSpend}, true
		}
	case userScope:
		if u := d.users[a.id]; u != nil {
			return ledger{spend: &u.Spend}, true
		}
	case orgScope:
		if o := d.organizations[a.id]; o != nil {
			return ledger{spend: &o.Spend}, true
		}
	case tagScope:
		return ledger{spend: spendOf(d.tags, a.id)}, true
	case endUserScope:
		return ledger{spend: spendOf(d.endUsers, a.id)}, true
	}
	return ledger{}, false
}

func windowLedger(windows []Window, duration string) (ledger, bool) {
	i := slices.IndexFunc(windows, func(w Window) bool { return w.Duration == duration })
	if i < 0 {
		return ledger{}, false
	}
	return ledger{spend: &windows[i].Spend}, true
}

func spendOf(rows map[string]*float64, id string) *float64 {
	if rows[id] == nil {
		rows[id] = new(float64)
	}
	return rows[id]
}

// member finds a membership by "user:team". LiteLLM, too, splits at the last colon.
func (d *database) member(id string) *Member {
	at := strings.LastIndex(id, memberIDSplit)
	t := d.teams[id[at+1:]]
	if t == nil {
		return nil
	}
	for i := range t.Members {
		if t.Members[i].UserID == id[:max(at, 0)] {
			return &t.Members[i]
		}
	}
	return nil
}

// keyCap is the cap of a key: its own, else the linked budget's, plus a temporary increase that has not expired.
// Nil is none.
func (d *database) keyCap(k *Key, now time.Time) *float64 {
	limit := k.MaxBudget
	if limit == nil {
		limit = d.linkedCap(k.BudgetID)
	}
	if limit == nil {
		return nil
	}
	return new(*limit + temporaryIncrease(k.Metadata, now))
}

func (d *database) linkedCap(budgetID string) *float64 {
	if b := d.budgets[budgetID]; b != nil {
		return b.MaxBudget
	}
	return nil
}

func temporaryIncrease(metadata map[string]any, now time.Time) float64 {
	increase, _ := metadata["temp_budget_increase"].(float64)
	text, _ := metadata["temp_budget_expiry"].(string)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if expiry, err := time.Parse(layout, text); err == nil && now.Before(expiry) {
			return increase
		}
	}
	return 0
}

// nextReset is when a budget of the given duration that is renewed now is next reset: LiteLLM's standard
// times are whole hours, midnights, Mondays (7d) and firsts of the month (30d, 1mo), in UTC.
func nextReset(duration string, now time.Time) (time.Time, error) {
	now = now.UTC()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	switch duration {
	case "7d":
		return midnight.AddDate(0, 0, 7-(int(now.Weekday())+6)%7), nil
	case "30d", "1mo":
		return time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	var n int
	var unit string
	if _, err := fmt.Sscanf(duration, "%d%s", &n, &unit); err != nil || n <= 0 {
		return time.Time{}, fmt.Errorf("budget duration %q: want a number and s, m, h or d, or 1mo", duration)
	}
	switch unit {
	case "s":
		return now.Add(time.Duration(n) * time.Second), nil
	case "m":
		return now.Truncate(time.Minute).Add(time.Duration(n) * time.Minute), nil
	case "h":
		return now.Truncate(time.Hour).Add(time.Duration(n) * time.Hour), nil
	case "d":
		return midnight.AddDate(0, 0, n), nil
	}
	return time.Time{}, fmt.Errorf("budget duration %q: unknown unit %q", duration, unit)
}
