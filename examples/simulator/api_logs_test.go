package simulator_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// row is what these tests look at in a row of the log.
type row struct {
	ID       string `json:"request_id"`
	APIKey   string `json:"api_key"`
	Start    string `json:"startTime"`
	User     string `json:"user"`
	TeamID   string `json:"team_id"`
	Metadata struct {
		Error struct {
			Code       string   `json:"error_code"`
			Message    string   `json:"error_message"`
			Traceback  string   `json:"traceback"`
			EntityType *string  `json:"error_budget_entity_type"`
			EntityID   string   `json:"error_budget_entity_id"`
			Spend      *float64 `json:"error_budget_spend"`
		} `json:"error_information"`
	} `json:"metadata"`
}

// failures reads the log of the minute before, with more of a query.
func (l lab) failures(bearer, query string) []row {
	l.t.Helper()
	status, body := l.get(l.logPath(query), bearer)
	var p struct {
		Data []row `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 {
		l.t.Fatalf("%d %s: %v", status, body, err)
	}
	return p.Data
}

func (l lab) logPath(query string) string {
	now := l.Now().UTC()
	span := url.Values{"start_date": {now.Add(-time.Minute).Format(time.DateTime)}, "end_date": {now.Format(time.DateTime)}}
	return "/spend/logs/v2?status_filter=failure&" + span.Encode() + query
}

func TestLogOfRefusedRequests(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct {
		release string
		code    string
		rawTeam bool // a key that its team refuses is logged as the client sent it
		named   bool // the fields of 1.94.3
	}{
		{"1.83.14", "429", true, false}, {"1.86.2", "429", true, false}, {"1.87.5", "429", false, false},
		{"1.90.7", "429", false, false}, {"1.101.6", "429", false, true}, {"1.104.0", "422", false, true}, {"1.109.1", "422", false, true},
	} {
		t.Run(tc.release, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: tc.release})
			l.AddTeam(simulator.Team{ID: "poor", Spend: 9, MaxBudget: new(5.0)})
			own := l.AddKey(simulator.Key{Spend: 2, MaxBudget: new(1.0), UserID: "u-1"})
			teams := l.AddKey(simulator.Key{TeamID: "poor"})
			l.step(time.Minute) // away from the start
			for _, k := range []simulator.Key{own, teams} {
				if l.send(k.Hash, 0.5) == nil {
					t.Fatal("admitted")
				}
				l.step(time.Second)
			}
			l.step(20 * time.Second)
			rows := l.failures(l.MasterKey(), "")
			if len(rows) != 2 || rows[0].Start <= rows[1].Start || rows[0].ID == rows[1].ID {
				t.Fatalf("got %+v, want two, the newest first", rows)
			}
			byTeam, byKey := rows[0], rows[1]
			if byKey.APIKey != own.Hash || byKey.User != "u-1" {
				t.Errorf("by its own cap: %+v", byKey)
			}
			wantKey, wantTeam := teams.Hash, "poor"
			if tc.rawTeam {
				wantKey, wantTeam = "Bearer "+teams.Raw, ""
			}
			if byTeam.APIKey != wantKey || byTeam.TeamID != wantTeam || !strings.Contains(byTeam.Metadata.Error.Message, "Team=poor Current cost: 9.0, Max budget: 5.0") {
				t.Errorf("by its team: %+v", byTeam)
			}
			e := byTeam.Metadata.Error
			if e.Code != tc.code || (e.EntityType != nil) != tc.named {
				t.Errorf("code %s, entity type %v", e.Code, e.EntityType)
			}
			if tc.named && (*e.EntityType != "team" || e.EntityID != "poor" || *e.Spend != 9) {
				t.Errorf("named %+v", e)
			}
			if !tc.rawTeam {
				for query, n := range map[string]int{"&api_key=" + own.Hash: 1, "&team_id=poor": 1, "&page_size=1": 1, "&page=2": 0, "&sort_order=asc": 2} {
					if rows := l.failures(l.MasterKey(), query); len(rows) != n {
						t.Errorf("%s: %d rows, want %d", query, len(rows), n)
					}
				}
			}
			l.step(2 * time.Minute)
			if rows := l.failures(l.MasterKey(), ""); len(rows) != 0 {
				t.Errorf("of another minute: %+v", rows)
			}
		})
	}
}

func TestLogIsWrittenWithTheSpend(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	k := l.AddKey(simulator.Key{Spend: 2, MaxBudget: new(1.0)})
	l.SetDatabaseDown(true)
	if l.send(k.Hash, 0.5) == nil {
		t.Fatal("admitted")
	}
	l.step(20 * time.Second)
	l.SetDatabaseDown(false)
	if rows := l.failures(l.MasterKey(), ""); len(rows) != 0 {
		t.Errorf("written while the database was down: %+v", rows)
	}
	l.step(20 * time.Second)
	if rows := l.failures(l.MasterKey(), ""); len(rows) != 1 {
		t.Errorf("got %+v", rows)
	}
}

func TestWhoMayReadTheLog(t *testing.T) {
	server := redistest.Standalone(t)
	for _, tc := range []struct {
		release, bearer, query string
		status                 int
		body                   string
	}{
		{"1.83.14", viewer, "", 403, "user not allowed to access this route"},
		{"1.84.0", viewer, "", 200, `"total":1`},
		{"1.84.0", user, "", 401, "Only proxy admin can be used"},
		{"1.90.7", user, "", 200, `"total":0`},
		{"1.84.0", "sk-master", "", 200, `"total_pages":1}`},
		{"1.94.3", "sk-master", "", 200, `"total_is_capped":false}`},
		{"1.94.3", "sk-master", "&page_size=101", 422, "less than or equal to 100"},
		{"1.97.0", "sk-master", "&page_size=1000", 200, `"page_size":1000`},
	} {
		t.Run(tc.release+" "+tc.bearer+tc.query, func(t *testing.T) {
			l := newLab(t, server, simulator.Options{Release: tc.release})
			withRoles(l)
			if l.send(simulator.Hash(overKey), 0.5) == nil {
				t.Fatal("admitted")
			}
			l.step(20 * time.Second)
			if status, body := l.get(l.logPath(tc.query), tc.bearer); status != tc.status || !strings.Contains(body, tc.body) {
				t.Errorf("%d %s, want %d %s", status, body, tc.status, tc.body)
			}
		})
	}
	l := newLab(t, server, simulator.Options{})
	for _, query := range []string{"", "?start_date=2026-11-24", "?start_date=2026-11-24&end_date=tomorrow"} {
		if status, body := l.get("/spend/logs/v2"+query, l.MasterKey()); status != 400 {
			t.Errorf("%q: %d %s", query, status, body)
		}
	}
}
