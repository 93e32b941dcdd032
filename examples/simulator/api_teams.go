package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// teamOrders are the columns that /v2/team/list sorts by; others are ignored.
var teamOrders = map[string]func(a, b *Team) int{
	"team_id":    func(a, b *Team) int { return cmp.Compare(a.ID, b.ID) },
	"team_alias": func(a, b *Team) int { return cmp.Compare(a.Alias, b.Alias) },
	"created_at": func(a, b *Team) int { return a.CreatedAt.Compare(b.CreatedAt) },
}

// teamList is GET /v2/team/list.
func (a *answer) teamList(r *http.Request) *response {
	q := r.URL.Query()
	page, bad := a.intParam(r, "page", 1, 0)
	if bad != nil {
		return bad
	}
	size, bad := a.intParam(r, "page_size", 10, 100)
	if bad != nil {
		return bad
	}
	if !a.caller.seesAll() && (a.caller.userID == "" || q.Get("user_id") != a.caller.userID) {
		return detail(401, map[string]string{"error": fmt.Sprintf("Only admin users can query all teams/other teams. Your user role=%s", a.caller.role)})
	}
	teams := a.sortedTeams(q.Get("sort_by"), q.Get("sort_order") != "desc")
	teams = slices.DeleteFunc(teams, func(t *Team) bool {
		return q.Get("team_id") != "" && q.Get("team_id") != t.ID ||
			q.Get("organization_id") != "" && q.Get("organization_id") != t.OrgID ||
			!strings.Contains(strings.ToLower(t.Alias), strings.ToLower(q.Get("team_alias"))) ||
			q.Get("user_id") != "" && !t.has(q.Get("user_id"))
	})
	cut, pages := pageOf(teams, page, size)
	body := list([]byte(`{"teams":`), cut, func(dst []byte, t *Team) []byte {
		return a.shapes.teamInList.json(dst, a, t, "")
	})
	return ok(fmt.Appendf(body, `,"total":%d,"page":%d,"page_size":%d,"total_pages":%d}`, len(teams), page, size, pages))
}

func (a *answer) sortedTeams(by string, ascending bool) []*Team {
	teams := slices.SortedFunc(maps.Values(a.db.teams), teamOrders["team_id"])
	compare := teamOrders[by]
	if compare == nil {
		compare, ascending = teamOrders["created_at"], false
	}
	direction := -1
	if ascending {
		direction = 1
	}
	slices.SortStableFunc(teams, func(x, y *Team) int { return direction * compare(x, y) })
	return teams
}

func (t *Team) has(userID string) bool {
	return slices.ContainsFunc(t.Members, func(m Member) bool { return m.UserID == userID })
}

// teamInfo is GET /team/info: the team, its keys as raw rows with their tokens, and its members.
func (a *answer) teamInfo(r *http.Request) *response {
	id := r.URL.Query().Get("team_id")
	if id == "" {
		return a.endpointError(422, "auth_error", "{'message': 'Malformed request. No team id passed in.'}")
	}
	t := a.db.teams[id]
	switch {
	case t == nil:
		return a.endpointError(404, "auth_error", fmt.Sprintf("{'message': 'Team not found, passed team id: %s.'}", id))
	case !a.caller.seesAll() && a.caller.key.TeamID != id && !t.has(a.caller.userID):
		return failure(403, "auth_error", a.noParam(), fmt.Sprintf("{'error': 'User=%s not authorized to access this team=%s'}", a.caller.userID, id))
	}
	var keys []*Key
	for _, k := range a.db.inTokenOrder() {
		if k.TeamID == id {
			keys = append(keys, k)
		}
	}
	if text := r.URL.Query().Get("key_limit"); text != "" && a.release.is(limitsTeamKeys) {
		limit, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return a.notNumber("key_limit", text)
		case limit < 1:
			return a.notPositive("key_limit", text)
		}
		keys, _ = pageOf(keys, 1, limit)
	}
	var members []membership
	for _, m := range t.Members {
		if m.BudgetID != "" || a.release.is(listsBudgetlessMembers) {
			members = append(members, membership{m, id})
		}
	}
	body := a.append([]byte(`{"team_id":`), id)
	body = a.shapes.teamInfo.json(append(body, `,"team_info":`...), a, t, "")
	body = list(append(body, `,"keys":`...), keys, func(dst []byte, k *Key) []byte {
		return a.shapes.keyRow.json(dst, a, k, "")
	})
	body = list(append(body, `,"team_memberships":`...), members, func(dst []byte, m membership) []byte {
		return a.shapes.membership.json(dst, a, m, "")
	})
	return ok(append(body, '}'))
}

// membership is a member with the team it is one of.
type membership struct {
	Member
	team string
}

// members is members_with_roles.
func (a *answer) members(t *Team) any { return a.membersWith(t, "") }

// membersWithAlias is members_with_roles of /team/info.
func (a *answer) membersWithAlias(t *Team) any {
	if a.release.is(listsBudgetlessMembers) {
		return a.membersWith(t, `,"user_alias":null`)
	}
	return a.members(t)
}

func (a *answer) membersWith(t *Team, more string) any {
	return raw(list(nil, t.Members, func(dst []byte, m Member) []byte {
		dst = a.append(append(dst, `{"user_id":`...), m.UserID)
		dst = a.append(append(dst, `,"user_email":`...), m.Email)
		dst = a.append(append(dst, `,"role":`...), m.Role)
		return append(append(dst, more...), '}')
	}))
}

// memberBudget is the budget nested in a membership.
func (a *answer) memberBudget(id string) any {
	b := a.db.budgets[id]
	if b == nil {
		return nil
	}
	return raw(a.shapes.memberBudget.json(nil, a, b, ""))
}

// budgetSource says where a member's cap comes from.
func (a *answer) budgetSource(m membership) any {
	if m.BudgetID == "" {
		return "none"
	}
	return "custom"
}

// callerMembership is what the caller has spent in a team it is a member of.
func (a *answer) callerMembership(t *Team) any {
	if !t.has(a.caller.userID) {
		return nil
	}
	m := a.db.member(a.caller.userID + memberIDSplit + t.ID)
	return raw(fmt.Appendf(nil, `{"spend":%s,"max_budget":%s,"budget_reset_at":null}`, pythonFloat(m.Spend), a.append(nil, a.db.linkedCap(m.BudgetID))))
}

// callerEditAccess says what of a team the caller may edit.
func (a *answer) callerEditAccess() any {
	if a.caller.role == Admin {
		return raw([]byte(`{"kind":"unrestricted"}`))
	}
	return raw([]byte(`{"kind":"none"}`))
}

// keysOf is how many keys a team has.
func (a *answer) keysOf(teamID string) int { return a.db.teamKeys[teamID] }
