package litellm_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/conformance/recorded"
)

func allKeys(t *testing.T, release string) map[string]*budget.Row {
	t.Helper()
	p, err := replaying(t, release, "key-list-full").Keys(t.Context(), litellm.ByToken, 1)
	if err != nil {
		t.Fatal(err)
	}
	if p.Received != 9 || p.Total != 9 || p.Page != 1 || p.TotalPages != 1 {
		t.Errorf("received %d of %d, page %d of %d; want 9 of 9, page 1 of 1", p.Received, p.Total, p.Page, p.TotalPages)
	}
	return byID(p.Rows)
}

func TestKeyListSaysWhatTheDatabaseHolds(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			rows := allKeys(t, release)
			db := loadRaw[database](t, release, "database")
			if len(db.Keys) != 9 {
				t.Fatalf("the database held %d keys, want 9", len(db.Keys))
			}
			hashes := loadRaw[about](t, release, "about").KeyHashes
			for _, want := range db.Keys {
				_, name, _ := strings.Cut(want.Alias, "-")
				row := rows[hashes[name]]
				if row == nil {
					t.Fatalf("%s: not under its hash %q", want.Alias, hashes[name])
				}
				if row.Names.Alias != want.Alias || row.ID.Scope != budget.Key {
					t.Errorf("%s: alias %q, scope %q", want.Alias, row.Names.Alias, row.ID.Scope)
				}
				if row.Spend != budget.Some(want.Spend) {
					t.Errorf("%s: spend %v, want %v", want.Alias, row.Spend, want.Spend)
				}
				if row.MaxBudget != optional(want.MaxBudget) {
					t.Errorf("%s: max_budget %v, want %v", want.Alias, row.MaxBudget, want.MaxBudget)
				}
				if got := row.ResetAt; got.Known != (want.ResetAt != nil) || got.Known && got.Value.Format("2006-01-02T15:04:05") != *want.ResetAt {
					t.Errorf("%s: reset %v, want %v", want.Alias, got, want.ResetAt)
				}
				if budgetID := row.Names.BudgetID; budgetID != "" && (want.BudgetID == nil || budgetID != *want.BudgetID) {
					t.Errorf("%s: budget_id %q, want %v", want.Alias, budgetID, want.BudgetID)
				}
				if !row.CreatedAt.Known || !strings.HasPrefix(row.KeyName, "sk-...") || time.Since(row.ReadAt) > time.Minute {
					t.Errorf("%s: created_at %v, key_name %q, read at %v", want.Alias, row.CreatedAt, row.KeyName, row.ReadAt)
				}
			}
		})
	}
}

// A counter in the recorded Redis is named by the hash that the row has.
func TestKeyListGivesTheHashesOfTheCounters(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			redis := loadRaw[map[string]json.RawMessage](t, release, "redis")
			found := 0
			for _, row := range allKeys(t, release) {
				if _, ok := redis[budget.CounterName(row.ID)]; ok {
					found++
				}
			}
			if found < 7 {
				t.Errorf("only %d of the nine keys have a counter under their hash, want at least 7", found)
			}
		})
	}
}

func TestLinkedCapOfKeyList(t *testing.T) {
	unread := budget.BudgetLink{State: budget.LinkUnread}
	none := budget.BudgetLink{State: budget.LinkNone}
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			rows := allKeys(t, release)
			hashes := loadRaw[about](t, release, "about").KeyHashes
			linked, personal := rows[hashes["by-budget-id"]], rows[hashes["personal"]]
			soft := rows[hashes["soft"]].Link
			prefix, _, _ := strings.Cut(linked.Names.Alias, "-")
			id := prefix + "-budget"
			want := budget.BudgetLink{State: budget.LinkTo, BudgetID: id, Budget: budget.Some(budget.LinkedBudget{
				ID: id, MaxBudget: budget.Some(7.0), ResetAt: budget.Some(hourOf2026(11, 25, 0)),
			})}
			switch {
			case budget.CompareVersions(release, "1.87.5") <= 0:
				if linked.Link != unread || personal.Link != unread || soft != unread {
					t.Errorf("links %+v, %+v, %+v: want all unread", linked.Link, personal.Link, soft)
				}
				return
			case budget.CompareVersions(release, "1.101.6") <= 0:
				want.Budget = budget.Optional[budget.LinkedBudget]{}
				if soft.Budget.Known {
					t.Errorf("link of soft %+v: want no budget", soft)
				}
			default:
				// A budget without a cap of its own, which is known to be none.
				if !soft.Budget.Known || soft.Budget.Value.MaxBudget.Known || soft.Budget.Value.ID != soft.BudgetID {
					t.Errorf("link of soft %+v: want its budget, without a cap", soft)
				}
			}
			if linked.Link != want || linked.Names.BudgetID != id {
				t.Errorf("link %+v, want %+v", linked.Link, want)
			}
			if personal.Link != none || personal.Names.BudgetID != "" {
				t.Errorf("link of a key without one: %+v, want none", personal.Link)
			}
			if soft.State != budget.LinkTo || soft.BudgetID == "" {
				t.Errorf("link of soft %+v: want one", soft)
			}
		})
	}
}

func TestKeyInfoSaysWhatKeyListSays(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			listed := allKeys(t, release)
			hashes := loadRaw[about](t, release, "about").KeyHashes
			for recording, name := range map[string]string{"key-info": "team", "key-info-by-budget-id": "by-budget-id", "key-info-windows": "windows"} {
				hash := hashes[name]
				row, err := replaying(t, release, recording).KeyInfo(t.Context(), hash)
				if err != nil {
					t.Errorf("%s: %v", recording, err)
					continue
				}
				compareRows(t, recording, row, listed[hash])
				wantLink := budget.LinkNone
				if name == "by-budget-id" {
					wantLink = budget.LinkTo
					if row.Link.Budget.Value.MaxBudget != budget.Some(7.0) {
						t.Errorf("%s: linked cap %+v, want 7", recording, row.Link)
					}
				}
				if row.Link.State != wantLink {
					t.Errorf("%s: link %+v, want state %d", recording, row.Link, wantLink)
				}
			}
		})
	}
}

// compareRows compares all that two endpoints both tell of a key.
func compareRows(t *testing.T, what string, got, want *budget.Row) {
	t.Helper()
	g, w := *got, *want
	g.ReadAt, w.ReadAt = time.Time{}, time.Time{}
	g.Link, w.Link = budget.BudgetLink{}, budget.BudgetLink{}
	g.Names.BudgetID, w.Names.BudgetID = "", ""
	if !slices.Equal(g.Windows, w.Windows) {
		t.Errorf("%s: windows %+v, in the list %+v", what, g.Windows, w.Windows)
	}
	g.Windows, w.Windows = nil, nil
	gj, _ := json.Marshal(g)
	wj, _ := json.Marshal(w)
	if string(gj) != string(wj) {
		t.Errorf("%s: %s, in the list %s", what, gj, wj)
	}
}

func TestRecordedWindows(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			row := allKeys(t, release)[loadRaw[about](t, release, "about").KeyHashes["windows"]]
			want := []budget.Window{
				{Duration: "1h", MaxBudget: budget.Some(1.0), ResetAt: budget.Some(hourOf2026(11, 24, 8))},
				{Duration: "1d", MaxBudget: budget.Some(5.0), ResetAt: budget.Some(hourOf2026(11, 25, 0))},
			}
			if !slices.Equal(row.Windows, want) {
				t.Errorf("windows %+v, want %+v", row.Windows, want)
			}
		})
	}
}

func TestTotalSpendIsKnownWhereTheReleaseHasIt(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			has := budget.CompareVersions(release, "1.104.0") >= 0
			for hash, row := range allKeys(t, release) {
				if row.TotalSpend.Known != has || has && row.TotalSpend != row.Spend {
					t.Errorf("%s: total_spend %v, spend %v", hash, row.TotalSpend, row.Spend)
				}
			}
		})
	}
}

func TestBatchAnswersAreMatchedToTheirHashes(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			listed := allKeys(t, release)
			hashes := loadRaw[about](t, release, "about").KeyHashes
			asked := []string{hashes["team"], hashes["personal"], hashes["tiny"]} // tiny is not in the answer
			answer, err := replaying(t, release, "v2-key-info").KeysInfo(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			known := slices.Collect(maps.Values(listed))
			matched, unmatched := litellm.MatchKeys(known, answer)
			if len(matched) != 2 || len(unmatched) != 7 || !slices.Contains(unmatched, hashes["tiny"]) {
				t.Fatalf("%d matched, unmatched %v", len(matched), unmatched)
			}
			for _, row := range matched {
				compareRows(t, "v2-key-info", row, listed[row.ID.Value])
				if row.Link.State != budget.LinkNone {
					t.Errorf("link %+v, want none", row.Link)
				}
			}
		})
	}
}

func TestRecordedTeams(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			p, err := replaying(t, release, "v2-team-list").Teams(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Rows) != 1 || p.Received != 1 || p.Total != 1 || p.Page != 1 || p.TotalPages != 1 {
				t.Fatalf("page %+v, want one team", p)
			}
			team := p.Rows[0]
			prefix, _, _ := strings.Cut(team.ID.Value, "-")
			if team.ID != (budget.ID{Scope: budget.Team, Value: prefix + "-team"}) || team.Names.Alias != prefix+" team" {
				t.Errorf("id %+v, alias %q", team.ID, team.Names.Alias)
			}
			spend := loadRaw[database](t, release, "database").Team
			if team.Spend != budget.Some(spend) || team.MaxBudget != budget.Some(30.0) || team.ResetAt != budget.Some(hourOf2026(12, 1, 0)) {
				t.Errorf("spend %v, cap %v, reset %v; want %v, 30, 1 December", team.Spend, team.MaxBudget, team.ResetAt, spend)
			}
			if team.Link != (budget.BudgetLink{State: budget.LinkNone}) || team.Blocked {
				t.Errorf("link %+v, blocked %v", team.Link, team.Blocked)
			}

			single, err := replaying(t, release, "team-info").TeamInfo(t.Context(), team.ID.Value)
			if err != nil {
				t.Fatal(err)
			}
			compareRows(t, "team-info", single, team)
			single, err = replaying(t, release, "v2-team-list").Team(t.Context(), team.ID.Value)
			if err != nil {
				t.Fatal(err)
			}
			compareRows(t, "v2-team-list?team_id", single, team)
		})
	}
}

func TestRecordedBudgetTable(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			budgets, err := replaying(t, release, "budget-list").Budgets(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var caps []budget.LinkedBudget
			for id, b := range budgets {
				if strings.HasSuffix(id, "-budget") {
					caps = append(caps, budget.LinkedBudget{MaxBudget: b.MaxBudget, ResetAt: b.ResetAt})
				}
			}
			want := []budget.LinkedBudget{{MaxBudget: budget.Some(7.0), ResetAt: budget.Some(hourOf2026(11, 25, 0))}}
			var sent []json.RawMessage
			if err := json.Unmarshal(load(t, release, "budget-list").Body, &sent); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(caps, want) || len(budgets) != len(sent) {
				t.Errorf("%d budgets, the named one %+v; want %d, %+v", len(budgets), caps, len(sent), want)
			}
		})
	}
}

func TestPagesOfARecordedSweep(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(load(t, release, "key-list-full-page"+r.URL.Query().Get("page")).Body)
			})
			var tokens []string
			for page := 1; page <= 2; page++ {
				p, err := c.Keys(t.Context(), litellm.ByToken, page)
				if err != nil {
					t.Fatal(err)
				}
				if p.Page != page || p.TotalPages != 3 || p.Total != 9 || p.Received != 4 {
					t.Errorf("page %+v", p)
				}
				for _, r := range p.Rows {
					tokens = append(tokens, r.ID.Value)
				}
			}
			if len(tokens) != 8 || !slices.IsSorted(tokens) {
				t.Errorf("tokens %v: want eight in order", tokens)
			}
		})
	}
}

func TestPageBeyondTheEndIsEmpty(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			p, err := replaying(t, release, "key-list-page-beyond").Keys(t.Context(), litellm.ByToken, 99)
			if err != nil || len(p.Rows) != 0 || p.Total != 9 {
				t.Errorf("page %+v, error %v", p, err)
			}
		})
	}
}

func TestRecordedUnknownEntities(t *testing.T) {
	const hash = "0000000000000000000000000000000000000000000000000000000000000000"
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			if _, err := replaying(t, release, "key-info-unknown").KeyInfo(t.Context(), hash); !errors.Is(err, litellm.ErrNotFound) {
				t.Errorf("/key/info: %v", err)
			}
			if _, err := replaying(t, release, "team-info-unknown").TeamInfo(t.Context(), "nope"); !errors.Is(err, litellm.ErrNotFound) {
				t.Errorf("/team/info: %v", err)
			}
			if rows, err := replaying(t, release, "v2-key-info-unknown").KeysInfo(t.Context(), []string{hash}); err != nil || len(rows) != 0 {
				t.Errorf("/v2/key/info: %d rows, %v", len(rows), err)
			}
		})
	}
}

func TestRecordedRefusals(t *testing.T) {
	for _, tc := range []struct {
		recording string
		want      litellm.Reason
		status    int // 0 = differs between releases
	}{
		{"key-list-no-user", litellm.ViewerWithoutUser, 403},
		{"v2-team-list-internal-user", litellm.NotAdmin, 401},
		{"key-info-bad-bearer", litellm.Unauthorized, 401},
		{"key-info-no-bearer", litellm.Unauthorized, 401},
		{"key-list-size-101", litellm.Other, 422},
		{"chat-budget-exceeded", litellm.OwnBudget, 0},
	} {
		t.Run(tc.recording, func(t *testing.T) {
			for _, release := range recorded.Releases() {
				t.Run(release, func(t *testing.T) {
					_, err := replaying(t, release, tc.recording).Keys(t.Context(), litellm.ByToken, 1)
					failed := failure(t, err)
					if failed.Reason != tc.want || tc.status != 0 && failed.Status != tc.status || failed.Endpoint != "/key/list" {
						t.Errorf("got %+v", failed)
					}
					noSecrets(t, failed)
				})
			}
		})
	}
}

// The recordings are of nine releases with three statuses for the same refusal.
func TestOwnBudgetHasThreeStatuses(t *testing.T) {
	statuses := map[int]bool{}
	for _, release := range recorded.Releases() {
		statuses[load(t, release, "chat-budget-exceeded").Status] = true
	}
	if !maps.Equal(statuses, map[int]bool{400: true, 422: true, 429: true}) {
		t.Errorf("statuses %v", statuses)
	}
}

func TestViewerMayReadBudgetsFrom1_84On(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			_, err := replaying(t, release, "budget-list-viewer").Budgets(t.Context())
			if release != "1.83.14" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failed := failure(t, err); failed.Reason != litellm.NotAdmin || !strings.Contains(failed.Error(), "proxy_admin") {
				t.Errorf("got %v", failed)
			}
		})
	}
}

// What a credential sees only in part, it is told by the team list, not by the key list.
func TestInternalUserListsItsOwnKeys(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			p, err := replaying(t, release, "key-list-internal-user").Keys(t.Context(), litellm.ByToken, 1)
			if err != nil || len(p.Rows) != 2 || p.Total != 2 {
				t.Errorf("%d rows of %d, %v", len(p.Rows), p.Total, err)
			}
		})
	}
}

func TestVersionOfRecordedReadiness(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health/readiness" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(load(t, "1.83.14", "health-readiness").Body)
	})
	if v, err := c.Release(t.Context()); v != "1.83.14" || err != nil {
		t.Errorf("release %q, %v", v, err)
	}
}

// The recorded requests are those that the client sends, so the answers are answers to them.
func TestRecordedRequestsAreTheClientsOwn(t *testing.T) {
	for recording, call := range map[string]func(c *litellm.Client) error{
		"key-list-full-page1": func(c *litellm.Client) error { _, err := c.Keys(t.Context(), litellm.ByToken, 1); return err },
		"v2-team-list":        func(c *litellm.Client) error { _, err := c.Teams(t.Context(), 1); return err },
		"budget-list":         func(c *litellm.Client) error { _, err := c.Budgets(t.Context()); return err },
		"v2-key-info":         func(c *litellm.Client) error { _, err := c.KeysInfo(t.Context(), []string{"a"}); return err },
		"key-info":            func(c *litellm.Client) error { _, err := c.KeyInfo(t.Context(), "a"); return err },
		"team-info":           func(c *litellm.Client) error { _, err := c.TeamInfo(t.Context(), "a"); return err },
		"spend-logs-v2-failures": func(c *litellm.Client) error {
			_, err := c.FailedRequests(t.Context(), time.Now(), time.Now(), 1)
			return err
		},
	} {
		t.Run(recording, func(t *testing.T) {
			var method string
			var sent url.URL
			c := serve(t, func(_ http.ResponseWriter, r *http.Request) { method, sent = r.Method, *r.URL })
			_ = call(c) // the answer is empty: only the request is looked at
			request := load(t, "1.84.0", recording).Request
			want, err := url.Parse(request.Path)
			if err != nil {
				t.Fatal(err)
			}
			if method != request.Method || sent.Path != want.Path {
				t.Errorf("sent %s %s, recorded %s %s", method, sent.Path, request.Method, want.Path)
			}
			for parameter := range want.Query() {
				if !sent.Query().Has(parameter) {
					t.Errorf("parameter %s was recorded and is not sent", parameter)
				}
			}
		})
	}
}

func optional(v *float64) budget.Optional[float64] {
	if v == nil {
		return budget.Optional[float64]{}
	}
	return budget.Some(*v)
}
