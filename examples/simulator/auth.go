package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Role is what a user may do.
type Role string

// The roles.
const (
	Admin        Role = "proxy_admin"
	Viewer       Role = "proxy_admin_viewer"
	InternalUser Role = "internal_user"
)

// adminUser is the user of the master key.
const adminUser = "default_user_id"

// caller is who sent a request.
type caller struct {
	role   Role
	userID string
	key    *Key // nil for the master key
}

// seesAll says whether the caller may read everybody's rows.
func (c caller) seesAll() bool { return c.role == Admin || c.role == Viewer }

// viewerRoutes are the routes of this simulator that a viewer is allowed where it may not read all.
var viewerRoutes = []string{"/key/info", "/v2/key/info", "/key/list", "/team/info", "/v2/team/list"}

// authenticate finds out who sent the request and whether it may use the route at all.
func (s *Simulator) authenticate(r *http.Request) (caller, *response) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || raw == "" {
		return caller{}, s.authError(401, "Authentication Error, No api key passed in.")
	}
	if raw == s.masterKey {
		return caller{role: Admin, userID: adminUser}, nil
	}
	if !strings.HasPrefix(raw, "sk-") {
		message := "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'."
		if s.release.is(prefixesMalformed) {
			message = "Authentication Error, " + message
		}
		return caller{}, s.authError(401, message)
	}
	if s.databaseDown {
		if s.release.is(databaseDownIs503) {
			return caller{}, noDatabase()
		}
		return caller{}, s.authError(401, "Authentication Error, "+driverText)
	}
	hash := Hash(raw)
	k := s.db.keys[hash]
	if k == nil {
		return caller{}, s.unknownKey(raw, hash)
	}
	if now := s.now(); !k.Expires.IsZero() && now.After(k.Expires) {
		status := 401
		if s.release.is(expiredIs400) {
			status = 400
		}
		s.touch(k)
		return caller{}, failure(status, "expired_key", k.Name,
			fmt.Sprintf("Authentication Error - Expired Key. Key Expiry time %s and current time %s", pythonTime(k.Expires), pythonTime(now)))
	}
	if k.Blocked {
		s.touch(k)
		refused := s.authError(401, keyIsBlocked)
		if r.URL.Path == chatPath && s.release.is(knowsBlocked) {
			refused = failure(401, "auth_error", nil, keyIsBlocked)
		}
		return caller{}, refused
	}
	c := caller{role: InternalUser, key: k}
	if u := s.db.users[k.UserID]; u != nil {
		c.role, c.userID = u.Role, u.ID
	}
	return c, s.authorize(c, r)
}

const keyIsBlocked = "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."

// authorize says why a caller may not use a route, or nil.
func (s *Simulator) authorize(c caller, r *http.Request) *response {
	path := r.URL.Path
	if routes := c.key.AllowedRoutes; len(routes) > 0 && !slices.ContainsFunc(routes, func(allowed string) bool {
		return path == allowed || strings.HasPrefix(path, strings.TrimSuffix(allowed, "/")+"/")
	}) {
		return detail(403, fmt.Sprintf("Virtual key is not allowed to call this route. Only allowed to call routes: %s. Tried to call route: %s", pythonList(routes), path))
	}
	if path == chatPath {
		return nil // its budgets are checked where it is admitted
	}
	if refused := s.overBudget(r, c.key); refused != nil {
		return refused
	}
	switch {
	case c.role == Viewer && !s.release.is(viewerReadsAll) && !slices.Contains(viewerRoutes, path):
		return s.authError(403, fmt.Sprintf("user not allowed to access this route, role= %s. Trying to access: %s", c.role, path))
	case c.role == InternalUser && (path == "/budget/list" || path == "/spend/logs/v2" && !s.release.is(logsToUsers)):
		return s.authError(401, fmt.Sprintf(
			"Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route=%s. Your role=%s. Your user_id=%s", path, c.role, masked(c.userID)))
	}
	return nil
}

// touch is what a key's refused request does to its row: it costs nothing, but is seen to be used.
func (s *Simulator) touch(k *Key) {
	s.workers[0].pending[account{scope: keyScope, id: k.Hash}] += 0
}

// masked is a user's id as some refusals show it.
func masked(userID string) string {
	const first, last = 6, 2
	switch {
	case len(userID) <= 4:
		return "***"
	case len(userID) < first+last:
		return userID
	}
	return userID[:first] + strings.Repeat("*", len(userID)-first-last) + userID[len(userID)-last:]
}

// overBudget refuses a management request whose key has a window, team, member, user or organization that is out of
// budget, where the release checks that. The key's own cap counts on inference routes only.
func (s *Simulator) overBudget(r *http.Request, k *Key) *response {
	as := slices.DeleteFunc(s.accounts(k, Request{}), func(a budgeted) bool {
		return a.scope == keyScope && !a.isWindow() || !s.release.is(checksManagement) && !(a.scope == memberScope && s.release.is(checksMembers))
	})
	for _, a := range s.withoutCounter(r.Context(), s.workers[0], as) {
		s.seedCounter(r.Context(), a.account)
	}
	if refusal := s.check(r.Context(), s.workers[0], as); refusal != nil {
		s.log(s.workers[0], k, Request{}, refusal)
		return refused(refusal)
	}
	return nil
}

func (s *Simulator) unknownKey(raw, hash string) *response {
	message := "Authentication Error, Invalid API key provided."
	if !s.release.is(hidesUnknownKey) {
		shown := "sk-..."
		if !s.release.is(masksWholeKey) {
			shown = maskedName(raw)
		}
		message = fmt.Sprintf("Authentication Error, Invalid proxy server token passed. Received API Key = %s, Key Hash (Token) =%s. "+
			"Unable to find token in cache or `LiteLLM_VerificationTokenTable`", shown, hash)
	}
	return failure(401, "token_not_found_in_db", "key", message)
}

// authError is a refusal by the authentication itself.
func (s *Simulator) authError(status int, message string) *response {
	return failure(status, "auth_error", s.noParam(), message)
}

// endpointError is an error that an endpoint raised and LiteLLM wrapped.
func (s *Simulator) endpointError(status int, kind, message string) *response {
	if s.release.is(typesByStatus) {
		switch {
		case status == 401, status == 403:
			kind = "auth_error"
		case status == 429:
			kind = "rate_limit_error"
		case status < 500:
			kind = "invalid_request_error"
		default:
			kind = "internal_server_error"
		}
	}
	param := s.noParam()
	if s.release.is(nullsParamOfText) && !strings.HasPrefix(message, "{'") {
		param = nil
	}
	return failure(status, kind, param, message)
}

// noParam is the param of an error that has none: Python's None as text, until a release sent null.
func (s *Simulator) noParam() any {
	if s.release.is(typesByStatus) {
		return nil
	}
	return "None"
}

// pythonList writes strings as Python shows a list of them.
func pythonList(items []string) string {
	return "['" + strings.Join(items, "', '") + "']"
}
