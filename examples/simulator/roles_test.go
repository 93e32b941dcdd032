package simulator_test

import (
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// The bearers of the keys that roles uses.
const (
	viewer       = "sk-viewer"
	user         = "sk-user"
	nobodys      = "sk-nobodys"
	restricted   = "sk-restricted"
	expired      = "sk-expired"
	blocked      = "sk-blocked"
	overWindow   = "sk-over-window"
	overKey      = "sk-over-key"
	poorTeamsKey = "sk-poor-team"
)

// withRoles adds users and keys of every kind.
func withRoles(l lab) {
	l.AddUser(simulator.User{ID: "viewer", Role: simulator.Viewer})
	l.AddUser(simulator.User{ID: "user", Role: simulator.InternalUser})
	l.AddTeam(simulator.Team{ID: "rich", Members: []simulator.Member{{UserID: "user", Role: "user"}}})
	l.AddTeam(simulator.Team{ID: "poor", Spend: 9, MaxBudget: new(5.0)})
	for _, k := range []simulator.Key{
		{Raw: viewer, UserID: "viewer"},
		{Raw: user, UserID: "user"},
		{Raw: nobodys},
		{Raw: restricted, UserID: "viewer", AllowedRoutes: []string{"/key/list", "/team"}},
		{Raw: expired, UserID: "viewer", Expires: start.Add(-time.Second)},
		{Raw: blocked, UserID: "viewer", Blocked: true},
		{Raw: overWindow, UserID: "viewer", Windows: []simulator.Window{{Duration: "1d", MaxBudget: 1, Spend: 2, ResetAt: midnight}}},
		{Raw: overKey, UserID: "viewer", Spend: 2, MaxBudget: new(1.0)},
		{Raw: poorTeamsKey, UserID: "viewer", TeamID: "poor"},
	} {
		l.AddKey(k)
	}
}

func TestRoles(t *testing.T) {
	server := redistest.Standalone(t)
	const keys, teams, budgets = "/key/list", "/v2/team/list", "/budget/list"
	for _, tc := range []struct {
		release, bearer, path string
		status                int
		body                  string // part of it
	}{
		{"1.83.14", viewer, keys, 200, `"total_count":9`},
		{"1.83.14", viewer, teams, 200, `"total":2`},
		{"1.83.14", viewer, budgets, 403, "user not allowed to access this route, role= proxy_admin_viewer. Trying to access: /budget/list"},
		{"1.84.0", viewer, budgets, 200, "[]"},
		{"1.84.0", viewer, "/health/readiness/details", 200, `"litellm_version":"1.84.0"`},
		{"1.84.0", user, keys, 200, `"total_count":1`},
		{"1.84.0", user, teams, 401, "Only admin users can query all teams/other teams. Your user role=internal_user"},
		{"1.84.0", user, teams + "?user_id=user", 200, `"total":1`},
		{"1.84.0", user, budgets, 401, "Only proxy admin can be used"},
		{"1.84.0", user, "/team/info?team_id=rich", 200, `"team_id":"rich"`},
		{"1.84.0", user, "/team/info?team_id=poor", 403, "not authorized"},
		{"1.84.0", user, "/key/info?key=" + simulator.Hash(viewer), 403, "You are not allowed to access this key's info. Your role=internal_user"},
		{"1.101.6", user, "/key/info?key=" + simulator.Hash(viewer), 403, `"type":"internal_server_error","param":"None"`},
		{"1.108.11", user, "/key/info?key=" + simulator.Hash(viewer), 403, `"type":"internal_server_error","param":null`},
		{"1.109.1", user, "/key/info?key=" + simulator.Hash(viewer), 403, `"type":"auth_error","param":null`},
		{"1.84.0", nobodys, keys, 403, `"param":"user_id"`},
		{"1.109.1", nobodys, keys, 403, `"param":"user_id"`},
		{"1.84.0", nobodys, "/key/info", 200, `"key":"` + simulator.Hash(nobodys)},
		{"1.84.0", restricted, keys, 200, `"total_count":9`},
		{"1.84.0", restricted, "/team/info?team_id=rich", 200, `"team_id":"rich"`},
		{"1.84.0", restricted, teams, 403, `{"detail":"Virtual key is not allowed to call this route. Only allowed to call routes: ['/key/list', '/team']. Tried to call route: /v2/team/list"}`},
		{"1.84.0", expired, keys, 400, `"type":"expired_key"`},
		{"1.86.2", expired, keys, 401, `"type":"expired_key"`},
		{"1.84.0", blocked, keys, 401, "Key is blocked"},
		{"1.84.0", "sk-unknown-8765", keys, 401, "Received API Key = sk-...8765, Key Hash (Token) =" + simulator.Hash("sk-unknown-8765")},
		{"1.84.0", "", keys, 401, "No api key passed in."},
		{"1.84.0", overWindow, keys, 400, `"type":"budget_exceeded"`},
		{"1.90.7", overWindow, keys, 429, `"type":"budget_exceeded"`},
		{"1.101.6", overWindow, keys, 200, `"total_count":9`},
		{"1.84.0", overKey, keys, 200, `"total_count":9`}, // a key's own cap counts when models are called
		{"1.84.0", poorTeamsKey, keys, 400, "Team=poor"},
		{"1.109.1", poorTeamsKey, keys, 200, `"total_count":9`},
		{"1.84.0", "", "/health/readiness", 200, `{"status":"healthy","db":"connected"}`},
		{"1.83.14", "", "/health/readiness", 200, `"litellm_version":"1.83.14"`},
		{"1.84.3", "", "/public/model_hub/info", 200, `"litellm_version":"1.84.3"`},
		{"1.84.0", "", "/health/liveliness", 200, `"I'm alive!"`},
	} {
		t.Run(tc.release+tc.path+" "+tc.bearer, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: tc.release})
			withRoles(l)
			if status, body := l.get(tc.path, tc.bearer); status != tc.status || !strings.Contains(body, tc.body) {
				t.Errorf("%d %s, want %d %s", status, body, tc.status, tc.body)
			}
		})
	}
}

func TestBatchLeavesOutWhatMayNotBeRead(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	withRoles(l)
	asked := `{"keys":["` + simulator.Hash(user) + `","` + simulator.Hash(viewer) + `"]}`
	if _, body := l.do("POST", "/v2/key/info", user, asked); strings.Count(body, `"key_name"`) != 1 {
		t.Errorf("a user read %s", body)
	}
	if _, body := l.do("POST", "/v2/key/info", viewer, asked); strings.Count(body, `"key_name"`) != 2 {
		t.Errorf("a viewer read %s", body)
	}
}

func TestDatabaseDown(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct {
		release, bearer, path string
		status                int
		body                  string
	}{
		{"1.86.2", viewer, "/key/list", 401, `"type":"auth_error"`},
		{"1.87.5", viewer, "/key/list", 503, `"type":"no_db_connection"`},
		{"1.84.0", "sk-master", "/key/list", 500, "connection"},
		{"1.109.1", "sk-master", "/key/list", 503, `"type":"no_db_connection"`},
		{"1.109.1", "sk-master", "/v2/team/list", 500, "connection"},
		{"1.83.14", "", "/health/readiness", 200, `"db":"disconnected"`},
		{"1.84.0", "", "/health/readiness", 503, `"db":"disconnected"`},
		{"1.84.0", "", "/health/liveliness", 200, "alive"},
	} {
		l := newLab(t, server, simulator.Options{Release: tc.release})
		withRoles(l)
		l.SetDatabaseDown(true)
		if status, body := l.get(tc.path, tc.bearer); status != tc.status || !strings.Contains(body, tc.body) {
			t.Errorf("%s %s: %d %s, want %d %s", tc.release, tc.path, status, body, tc.status, tc.body)
		}
		l.SetDatabaseDown(false)
		if status, _ := l.get("/key/list", viewer); status != 200 {
			t.Errorf("%s: %d after the outage", tc.release, status)
		}
	}
}

func TestOptions(t *testing.T) {
	rdb := redistest.Standalone(t).Client(t)
	for name, o := range map[string]simulator.Options{
		"no Redis":     {},
		"too old":      {Redis: rdb, Release: "1.83.13"},
		"not a number": {Redis: rdb, Release: "1.84"},
		"not numbers":  {Redis: rdb, Release: "1.84.x"},
	} {
		if _, err := simulator.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := simulator.New(simulator.Options{Redis: rdb})
	if err != nil || s.Release() != "1.109.1" || time.Since(s.Now()) > time.Minute {
		t.Errorf("by default release %s at %v: %v", s.Release(), s.Now(), err)
	}
	if err := s.Step(t.Context(), time.Second); err == nil {
		t.Error("the real clock was stepped")
	}
	manual, err := simulator.New(simulator.Options{Redis: rdb, Clock: simulator.NewManualClock(start)})
	if err != nil {
		t.Fatal(err)
	}
	if err := manual.Run(t.Context()); err == nil {
		t.Error("a manual clock ran")
	}
}
