package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// shapes are the objects as the release writes them.
type shapes struct {
	keyInList    object[*Key]
	keyRow       object[*Key]
	teamInList   object[*Team]
	teamInfo     object[*Team]
	budget       object[*Budget]
	memberBudget object[*Budget]
	membership   object[membership]

	logged         object[*logged]
	loggedMetadata object[*logged]
	budgetError    object[*Refusal]
}

func shapesOf(r release) shapes {
	return shapes{
		keyInList: objectOf(r, keyListShape), keyRow: objectOf(r, keyRowShape),
		teamInList: objectOf(r, teamListShape), teamInfo: objectOf(r, teamInfoShape),
		budget: objectOf(r, budgetShape), memberBudget: objectOf(r, memberBudgetShape),
		membership: objectOf(r, membershipShape),
		logged:     objectOf(r, loggedShape), loggedMetadata: objectOf(r, loggedMetadataShape), budgetError: objectOf(r, budgetErrorShape),
	}
}

// keyOrders are the columns that /key/list sorts by.
var keyOrders = map[string]func(a, b *Key) int{
	"spend":      func(a, b *Key) int { return cmp.Compare(a.Spend, b.Spend) },
	"max_budget": func(a, b *Key) int { return compareNullable(a.MaxBudget, b.MaxBudget, cmp.Compare[float64]) },
	"created_at": func(a, b *Key) int { return a.CreatedAt.Compare(b.CreatedAt) },
	"updated_at": func(a, b *Key) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
	"token":      func(a, b *Key) int { return cmp.Compare(a.Hash, b.Hash) },
	"key_alias":  func(a, b *Key) int { return compareNullable(nullable(a.Alias), nullable(b.Alias), cmp.Compare[string]) },
}

// moreKeyOrders are the columns that sortsByMore adds. Nulls come last in either direction, then by token.
var moreKeyOrders = map[string]struct {
	null    func(*Key) bool
	compare func(a, b *Key) int
}{
	"expires": {
		func(k *Key) bool { return k.Expires.IsZero() }, func(a, b *Key) int { return a.Expires.Compare(b.Expires) },
	},
	"last_active": {
		func(k *Key) bool { return k.LastActive.IsZero() }, func(a, b *Key) int { return a.LastActive.Compare(b.LastActive) },
	},
	"budget_reset_at": {
		func(k *Key) bool { return k.ResetAt.IsZero() }, func(a, b *Key) int { return a.ResetAt.Compare(b.ResetAt) },
	},
	"total_spend": {
		func(*Key) bool { return false }, func(a, b *Key) int { return cmp.Compare(a.TotalSpend, b.TotalSpend) },
	},
	"tpm_limit": {
		func(k *Key) bool { return k.TPMLimit == nil }, func(a, b *Key) int { return cmp.Compare(*a.TPMLimit, *b.TPMLimit) },
	},
	"rpm_limit": {
		func(k *Key) bool { return k.RPMLimit == nil }, func(a, b *Key) int { return cmp.Compare(*a.RPMLimit, *b.RPMLimit) },
	},
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// compareNullable puts null above every value, as Postgres does.
func compareNullable[T any](a, b *T, compare func(a, b T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return compare(*a, *b)
}

// keyList is GET /key/list.
func (a *answer) keyList(r *http.Request) *response {
	q := r.URL.Query()
	page, bad := a.intParam(r, "page", 1, 0)
	if bad != nil {
		return bad
	}
	size, bad := a.intParam(r, "size", 10, 100)
	if bad != nil {
		return bad
	}
	if a.caller.role != Admin && a.caller.userID == "" {
		return failure(403, "bad_request_error", "user_id", "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.")
	}
	keys, bad := a.sortedKeys(q.Get("sort_by"), strings.ToLower(q.Get("sort_order")) == "asc")
	if bad != nil {
		return bad
	}
	if order := strings.ToLower(q.Get("sort_order")); q.Get("sort_by") != "" && q.Has("sort_order") && order != "asc" && order != "desc" {
		return a.endpointError(400, "internal_server_error", `{'error': "Invalid sort order. Must be 'asc' or 'desc'"}`)
	}
	if hash := q.Get("key_hash"); hash != "" && a.db.keys[hash] != nil {
		keys = []*Key{a.db.keys[hash]} // what the database's index is for
	}
	var listed []*Key
	for _, k := range keys {
		if a.listed(k, q) {
			listed = append(listed, k)
		}
	}
	cut, pages := pageOf(listed, page, size)
	body := list([]byte(`{"keys":`), cut, func(dst []byte, k *Key) []byte {
		if q.Get("return_full_object") != "true" {
			return a.append(dst, k.Hash)
		}
		return a.shapes.keyInList.json(dst, a, k, "")
	})
	return ok(fmt.Appendf(body, `,"total_count":%d,"current_page":%d,"total_pages":%d}`, len(listed), page, pages))
}

// sortedKeys are all keys in the order that was asked for.
func (a *answer) sortedKeys(by string, ascending bool) ([]*Key, *response) {
	switch {
	case by == "":
		return a.db.inDefaultOrder(), nil
	case by == "token" && ascending:
		return a.db.inTokenOrder(), nil
	}
	direction := -1
	if ascending {
		direction = 1
	}
	// The rest have no tiebreaker, so what is equal comes in any order: here in that of the tokens.
	keys := slices.Clone(a.db.inTokenOrder())
	if compare := keyOrders[by]; compare != nil {
		slices.SortStableFunc(keys, func(x, y *Key) int { return direction * compare(x, y) })
		return keys, nil
	}
	if order, known := moreKeyOrders[by]; known && a.release.is(sortsByMore) {
		slices.SortStableFunc(keys, func(x, y *Key) int {
			switch nx, ny := order.null(x), order.null(y); {
			case nx && ny:
				return 0
			case nx:
				return 1
			case ny:
				return -1
			}
			return direction * order.compare(x, y)
		})
		return keys, nil
	}
	columns := "spend, max_budget, created_at, updated_at, token, key_alias"
	if a.release.is(sortsByMore) {
		columns += ", expires, last_active, budget_reset_at, total_spend, tpm_limit, rpm_limit"
	}
	return nil, a.endpointError(400, "internal_server_error", "{'error': 'Invalid sort column. Must be one of: "+columns+"'}")
}

// listed says whether the caller sees a key in the list, with the filters that were asked for.
func (a *answer) listed(k *Key, q map[string][]string) bool {
	if k.TeamID == uiTeam || !a.caller.seesAll() && k.UserID != a.caller.userID {
		return false
	}
	matches := func(name, value string) bool {
		asked := q[name]
		if len(asked) == 0 || asked[0] == "" || asked[0] == value {
			return true
		}
		loose := a.release.is(matchesSubstrings) && a.caller.seesAll() || len(q["substring_matching"]) > 0 && q["substring_matching"][0] == "true"
		return loose && (name == "user_id" || name == "key_alias") && strings.Contains(strings.ToLower(value), strings.ToLower(asked[0]))
	}
	return matches("key_hash", k.Hash) && matches("team_id", k.TeamID) && matches("key_alias", k.Alias) &&
		matches("user_id", k.UserID) && matches("organization_id", k.OrgID) && matches("project_id", k.ProjectID)
}

// keyInfo is GET /key/info: a raw row without its token.
func (a *answer) keyInfo(r *http.Request) *response {
	a.zone = "+00:00"
	asked := r.URL.Query().Get("key")
	k := a.caller.key
	if asked != "" {
		k = a.db.keys[hashOf(asked)]
	} else if k != nil {
		asked = k.Hash
	}
	switch {
	case k == nil:
		return failure(404, "not_found_error", "key", "Key not found in database")
	case !a.mayRead(k):
		return a.endpointError(403, "internal_server_error", fmt.Sprintf("You are not allowed to access this key's info. Your role=%s", a.caller.role))
	}
	extra := a.windowsUsage(r, k)
	if a.release.is(tellsStatus) {
		extra = append(extra, extraField{"status", keyStatus(k, a.now())})
	}
	body := a.append([]byte(`{"key":`), asked)
	body = append(body, `,"info":`...)
	body = a.shapes.keyRow.json(body, a, k, "token", extra...)
	return ok(append(body, '}'))
}

// keysInfo is POST /v2/key/info: raw rows without their tokens, the highest spend first, unknown ones left out.
func (a *answer) keysInfo(r *http.Request) *response {
	a.zone = "+00:00"
	var asked struct {
		Keys    []string `json:"keys"`
		Aliases []string `json:"key_aliases"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return detail(400, "There was an error parsing the body")
	}
	switch err := json.Unmarshal(body, &asked); {
	case err != nil:
		return a.invalid("json_invalid", []any{"body", len(body)}, "JSON decode error", map[string]any{}, map[string]any{"error": "Expecting property name enclosed in double quotes"})
	case len(asked.Keys)+len(asked.Aliases) == 0:
		return a.invalid("value_error", []any{"body"}, "Value error, At least one of 'keys' or 'key_aliases' must be provided.", raw(body), map[string]any{"error": map[string]any{}})
	}
	var keys []*Key
	for _, k := range asked.Keys {
		if row := a.db.keys[hashOf(k)]; row != nil {
			keys = append(keys, row)
		}
	}
	if len(asked.Aliases) > 0 {
		for _, k := range a.db.inTokenOrder() {
			if slices.Contains(asked.Aliases, k.Alias) {
				keys = append(keys, k)
			}
		}
	}
	keys = slices.DeleteFunc(keys, func(k *Key) bool { return !a.mayRead(k) })
	slices.SortFunc(keys, func(x, y *Key) int { return cmp.Or(cmp.Compare(y.Spend, x.Spend), cmp.Compare(x.Hash, y.Hash)) })
	keys = slices.Compact(keys)
	list := list(append(appendJSON([]byte(`{"key":`), asked.Keys), `,"info":`...), keys, func(dst []byte, k *Key) []byte {
		return a.shapes.keyRow.json(dst, a, k, "token", a.windowsUsage(r, k)...)
	})
	return ok(append(list, '}'))
}

func hashOf(key string) string {
	if strings.HasPrefix(key, "sk-") {
		return Hash(key)
	}
	return key
}

// mayRead says whether the caller may read a key by its hash: its own, its user's, its team's and those of teams that
// its user is a member of.
func (a *answer) mayRead(k *Key) bool {
	c := a.caller
	if c.seesAll() || c.key == k || c.userID != "" && k.UserID == c.userID || k.TeamID != "" && k.TeamID == c.key.TeamID {
		return true
	}
	team := a.db.teams[k.TeamID]
	return team != nil && c.userID != "" && team.has(c.userID)
}

func keyStatus(k *Key, now time.Time) string {
	switch {
	case k.Blocked:
		return "revoked"
	case !k.Expires.IsZero() && now.After(k.Expires):
		return "expired"
	}
	return "active"
}

// windowsUsage is budget_limits_usage: the windows' counters as enforcement reads them, which raises or seeds them.
func (a *answer) windowsUsage(r *http.Request, k *Key) []extraField {
	if len(k.Windows) == 0 || !a.release.is(tellsWindows) {
		return nil
	}
	usage := []byte{'{'}
	for _, w := range windowAccounts(keyScope, k.Hash, "Key", k.Windows, true) {
		if _, found := a.counters.get(r.Context(), w.counter()); !found {
			a.seedCounter(r.Context(), w.account)
		}
		spend := a.enforced(r.Context(), a.workers[0], w)
		usage = append(appendName(usage, w.duration), fmt.Sprintf(`{"current_spend":%s}`, pythonFloat(round4(spend)))...)
	}
	return []extraField{{"budget_limits_usage", raw(append(usage, '}'))}}
}

// windows is budget_limits.
func (a *answer) windows(windows []Window) any {
	if len(windows) == 0 {
		return nil
	}
	return raw(list(nil, windows, func(dst []byte, w Window) []byte {
		return fmt.Appendf(dst, `{"reset_at":"%s","max_budget":%s,"budget_duration":"%s"}`, timestamp(w.ResetAt, "+00:00"), pythonFloat(w.MaxBudget), w.Duration)
	}))
}
