package litellm_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/litellm"
)

// noSecrets fails where an error's text could hold a credential, in whole or shortened.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, secret := range []string{"sk-", "Bearer ", "hunter2", "2ab06cfadcdcc1bb", credential, "eyJ"} {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("error holds %q: %s", secret, e)
			}
		}
	}
}

func wrapped(kind, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":"0"}}`, message, kind)
}

func TestRefusalsAreClassified(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   litellm.Reason
		says   string
	}{
		{"unknown key", 401, wrapped("token_not_found_in_db", "Authentication Error, Invalid API key provided."), litellm.Unauthorized, "api_key_file"},
		{"unknown key, text of a database", 401, wrapped("token_not_found_in_db", "Authentication Error, connection refused"), litellm.Unauthorized, ""},
		{"blocked key", 401, wrapped("auth_error", "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."), litellm.Unauthorized, "blocked"},
		{"expired key", 401, wrapped("expired_key", "Authentication Error - Expired Key. Key Expiry time 2026 and current time 2027"), litellm.Unauthorized, "Expired"},
		{"expired key up to 1.84.0", 400, wrapped("expired_key", "Authentication Error - Expired Key."), litellm.Unauthorized, ""},
		{"some proxy's 401", 401, `<html>401</html>`, litellm.Unauthorized, ""},

		{"role too low", 401, wrapped("auth_error", "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route=/budget/list. Your role=internal_user. Your user_id=abc"), litellm.NotAdmin, "proxy_admin_viewer"},
		{"teams of others", 401, `{"detail":{"error":"Only admin users can query all teams/other teams. Your user role=internal_user"}}`, litellm.NotAdmin, "entities"},
		{"the same, wrapped", 401, wrapped("internal_server_error", "{'error': 'Only admin users can query all teams/other teams.'}"), litellm.NotAdmin, ""},
		{"budgets for admins", 400, `{"detail":{"error":"Admin-only endpoint. Not allowed to access this., your role=internal_user"}}`, litellm.NotAdmin, ""},
		{"viewer refused", 403, wrapped("auth_error", "user not allowed to access this route, role= proxy_admin_viewer. Trying to access: /budget/list"), litellm.NotAdmin, ""},
		{"another's key", 403, wrapped("internal_server_error", "You are not allowed to access this key's info. Your role=internal_user"), litellm.NotAdmin, ""},
		{"viewer without user", 403, wrapped("bad_request_error", "You are not authorized to access this endpoint. No 'user_id' is associated with your API key."), litellm.ViewerWithoutUser, "user_id"},

		{"allowed_routes", 403, `{"detail":"Virtual key is not allowed to call this route. Only allowed to call routes: ['/chat/completions']. Tried to call route: /key/list"}`, litellm.Forbidden, "add /key/list to its allowed_routes"},
		{"allowed_routes, wrapped", 403, wrapped("auth_error", "Virtual key is not allowed to call this route. Only allowed to call routes: []. Tried to call route: /key/list"), litellm.Forbidden, "allowed_routes"},
		{"some proxy's 403", 403, `forbidden`, litellm.Forbidden, ""},

		{"own budget up to 1.84", 400, wrapped("budget_exceeded", "Budget has been exceeded! Team=t-1 Current cost: 2, Max budget: 1"), litellm.OwnBudget, "Team=t-1"},
		{"own budget up to 1.103", 429, wrapped("budget_exceeded", "Budget has been exceeded!"), litellm.OwnBudget, "own key"},
		{"own budget since", 422, wrapped("budget_exceeded", "Budget has been exceeded!"), litellm.OwnBudget, ""},
		{"validation is no budget", 422, `{"detail":[{"type":"less_than_equal","loc":["query","size"],"msg":"Input should be less than or equal to 100"}]}`, litellm.Other, "size: Input should be"},
		{"a limit is no budget", 429, `slow down`, litellm.RateLimited, "intervals.inventory"},

		{"outage up to 1.86.2", 401, wrapped("auth_error", "Authentication Error, Can't reach database server at `db`:`5432`"), litellm.DatabaseDown, "credential is not at fault"},
		{"outage of the engine", 401, wrapped("auth_error", "Authentication Error, All connection attempts failed"), litellm.DatabaseDown, ""},
		{"outage, client closed", 401, wrapped("auth_error", "Authentication Error, Client is not connected to the query engine, you must call `connect()` before attempting to query data."), litellm.DatabaseDown, ""},
		{"outage, pool used up", 401, wrapped("auth_error", "Authentication Error, Timed out fetching a new connection from the connection pool."), litellm.DatabaseDown, ""},
		{"outage without text", 401, wrapped("auth_error", "Authentication Error, "), litellm.DatabaseDown, ""},
		{"outage with a fallback user", 401, wrapped("auth_error", "Authentication Error, Only proxy admin can be used. Your user_id=__db_unavailable_fallback__"), litellm.DatabaseDown, ""},
		{"outage since 1.87.5", 503, wrapped("no_db_connection", "Service Unavailable"), litellm.DatabaseDown, ""},
		{"outage in an endpoint", 500, wrapped("internal_server_error", "Error in PostgreSQL connection: Error { kind: Closed, cause: None }"), litellm.DatabaseDown, ""},
		{"no database at all", 500, wrapped("internal_server_error", "Database not connected"), litellm.DatabaseDown, ""},
		{"no database, teams", 500, `{"detail":{"error":"DB not connected. See https://docs.litellm.ai"}}`, litellm.DatabaseDown, ""},
		{"no database, budgets", 400, `{"detail":{"error":"No db connected"}}`, litellm.DatabaseDown, ""},
		{"no database, logs", 401, wrapped("auth_error", "Prisma Client is not initialized"), litellm.DatabaseDown, ""},

		{"some error", 500, wrapped("internal_server_error", "KeyError: 'x'"), litellm.ServerError, "LiteLLM's log"},
		{"overload", 503, wrapped("overloaded_error", "Worker at capacity: 100"), litellm.ServerError, "capacity"},
		{"gateway", 502, `<html>bad gateway</html>`, litellm.ServerError, ""},
		{"no such path", 404, `{"detail":"Not Found"}`, litellm.Other, "path prefix"},
		{"no content", 204, ``, litellm.Malformed, ""},
		{"answer within an error", 400, `{"error":"bad thing"}`, litellm.Other, "bad thing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := answering(t, tc.status, tc.body).Keys(t.Context(), litellm.ByToken, 1)
			failed := failure(t, err)
			if failed.Reason != tc.want || failed.Status != tc.status {
				t.Errorf("reason %s, status %d, want %s, %d: %v", failed.Reason, failed.Status, tc.want, tc.status, err)
			}
			if text := err.Error(); !strings.Contains(text, tc.says) || !strings.HasPrefix(text, fmt.Sprintf("/key/list: HTTP %d (%s)", tc.status, tc.want)) {
				t.Errorf("text %q, want %q in it", text, tc.says)
			}
		})
	}
}

// An unknown path answers 404 as well: a wrong URL must not make every entity vanish.
func TestWrongPathIsNotAnUnknownEntity(t *testing.T) {
	for _, body := range []string{`{"detail":"Not Found"}`, `<html>404</html>`, ``} {
		c := answering(t, 404, body)
		_, err := c.KeyInfo(t.Context(), "a")
		if failed := failure(t, err); failed.Reason != litellm.Other {
			t.Errorf("/key/info: %v", err)
		}
		_, err = c.TeamInfo(t.Context(), "a")
		if failed := failure(t, err); failed.Reason != litellm.Other {
			t.Errorf("/team/info: %v", err)
		}
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	for _, message := range []string{
		"Authentication Error, Invalid proxy server token passed. Received API Key = sk-...rong, Key Hash (Token) =2ab06cfadcdcc1bb1a1ff9edefb028084a837b3ed7b95f97e602b960ee127471. Unable to find token in cache",
		"LiteLLM Virtual Key expected. Received=" + credential + ", expected to start with 'sk-'.",
		"bad header Authorization: Bearer hunter2",
		"cannot reach postgresql://llm:hunter2@db:5432/litellm",
		"password=hunter2 rejected",
		"Invalid JWT eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
	} {
		for _, status := range []int{400, 401, 403, 500, 503} {
			_, err := answering(t, status, wrapped("auth_error", message)).Keys(t.Context(), litellm.ByToken, 1)
			noSecrets(t, failure(t, err))
		}
	}
}

// The URL of an OAuth 2 server is not shown either.
func TestUnreachableTokenURLIsNotShown(t *testing.T) {
	c, err := litellm.New(litellm.Options{URL: "http://litellm.test", Timeout: time.Minute, HTTP: commoncfg.HTTPClientConfig{
		OAuth2: &commoncfg.OAuth2{ClientID: "exporter", ClientSecret: "secret", TokenURL: "http://127.0.0.1:1/?key=hunter2"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Keys(t.Context(), litellm.ByToken, 1)
	if failed := failure(t, err); failed.Reason != litellm.Connection || !strings.Contains(failed.Error(), "127.0.0.1:1") {
		t.Errorf("%v", err)
	}
	noSecrets(t, err)
}

func TestErrorsAreShortAndOneLine(t *testing.T) {
	_, err := answering(t, 500, wrapped("x", "a\nb\r\x1b[31m\u2028"+strings.Repeat("word ", 10_000))).Keys(t.Context(), litellm.ByToken, 1)
	text := failure(t, err).Error()
	if len(text) > 600 || strings.ContainsAny(text, "\n\r\x1b\u2028") {
		t.Errorf("text of %d bytes: %q", len(text), text)
	}
}

func TestEveryReasonHasAHint(t *testing.T) {
	for _, reason := range litellm.Reasons {
		e := &litellm.Error{Endpoint: "/key/list", Reason: reason}
		if text := e.Error(); !strings.Contains(text, "; ") {
			t.Errorf("%s says nothing of what to do: %q", reason, text)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		status int
		header string
		min    time.Duration
		max    time.Duration
	}{
		{429, "7", 7 * time.Second, 7 * time.Second},
		{503, "1", time.Second, time.Second},
		{503, time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat), 20 * time.Second, 30 * time.Second},
		{503, time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat), 0, 0},
		{429, "-5", 0, 0},
		{429, "soon", 0, 0},
		{429, "", 0, 0},
		{429, "99999999", time.Hour, time.Hour},
		{500, "7", 0, 0},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tc.header)
			w.WriteHeader(tc.status)
		})
		_, err := c.Keys(t.Context(), litellm.ByToken, 1)
		if got := failure(t, err).RetryAfter; got < tc.min || got > tc.max {
			t.Errorf("%d with Retry-After %q: %v, want %v to %v", tc.status, tc.header, got, tc.min, tc.max)
		}
	}
}
