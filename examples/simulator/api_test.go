package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

func TestKeyListOrders(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	for i, k := range []simulator.Key{
		{Alias: "c", Spend: 2, MaxBudget: new(5.0), UpdatedAt: start.Add(3 * time.Hour), Expires: start.Add(time.Hour)},
		{Alias: "a", Spend: 3, UpdatedAt: start.Add(1 * time.Hour)},
		{Alias: "b", Spend: 1, MaxBudget: new(4.0), UpdatedAt: start.Add(2 * time.Hour), Expires: start.Add(2 * time.Hour)},
	} {
		k.Raw, k.CreatedAt = fmt.Sprintf("sk-%d", i), start.Add(time.Duration(i)*time.Second)
		l.AddKey(k)
	}
	byToken := l.aliases("sort_by=token&sort_order=asc")
	for query, want := range map[string][]string{
		"":                                      {"b", "a", "c"},
		"sort_order=asc":                        {"b", "a", "c"}, // means nothing without sort_by
		"sort_by=created_at&sort_order=asc":     {"c", "a", "b"},
		"sort_by=spend":                         {"a", "c", "b"},
		"sort_by=spend&sort_order=asc":          {"b", "c", "a"},
		"sort_by=updated_at&sort_order=desc":    {"c", "b", "a"},
		"sort_by=key_alias&sort_order=asc":      {"a", "b", "c"},
		"sort_by=max_budget&sort_order=desc":    {"a", "c", "b"}, // null above all
		"sort_by=expires&sort_order=desc":       {"b", "c", "a"}, // null last
		"sort_by=expires&sort_order=asc":        {"c", "b", "a"},
		"sort_by=token&sort_order=desc":         reversed(byToken),
		"sort_by=spend&sort_order=asc&size=2":   {"b", "c"},
		"sort_by=spend&size=2&page=2":           {"b"},
		"sort_by=spend&size=2&page=3":           {},
		"key_alias=a":                           {"a"},
		"key_alias=A":                           {},
		"key_alias=A&substring_matching=true":   {"a"},
		"key_hash=" + simulator.Hash("sk-2"):    {"b"},
		"key_hash=" + strings.Repeat("0", 64):   {},
		"team_id=none":                          {},
		"nobody_knows_this=1&sort_by=key_alias": {"c", "b", "a"},
	} {
		if got := l.aliases(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if status, body := l.get("/key/list?sort_by=user_id", l.MasterKey()); status != 400 || !strings.Contains(body, "Invalid sort column") {
		t.Errorf("unknown column: %d %s", status, body)
	}
	older := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.108.11"})
	if status, _ := older.get("/key/list?sort_by=expires", older.MasterKey()); status != 400 {
		t.Errorf("1.108.11 sorts by expires: %d", status)
	}
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func TestSubstringsMatchInOldReleases(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]int{"1.87.5": 2, "1.90.7": 1} {
		l := newLab(t, server, simulator.Options{Release: release})
		l.AddKey(simulator.Key{Alias: "checkout"})
		l.AddKey(simulator.Key{Alias: "Checkout-2"})
		if got := l.aliases("key_alias=checkout"); len(got) != want {
			t.Errorf("%s: %v", release, got)
		}
	}
}

func TestQueryValidation(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{Release: "1.84.0"})
	for path, want := range map[string]string{
		"/key/list?size=0":            `"type":"greater_than_equal"`,
		"/key/list?page=x":            `"type":"int_parsing"`,
		"/v2/team/list?page_size=101": `"loc":["query","page_size"]`,
	} {
		if status, body := l.get(path, l.MasterKey()); status != 422 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _ := l.do("POST", "/v2/key/info", l.MasterKey(), `{}`); status != 422 {
		t.Errorf("a batch of nothing: %d", status)
	}
	if status, body := l.get("/nothing/here", ""); status != 404 || body != `{"detail":"Not Found"}` {
		t.Errorf("unknown path: %d %s", status, body)
	}
}

func TestKeysComeAndGo(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	l.AddTeam(simulator.Team{ID: "old"})
	l.AddTeam(simulator.Team{ID: "new"})
	k := l.AddKey(simulator.Key{Alias: "a", TeamID: "old", Spend: 3})
	l.AddKey(simulator.Key{Alias: "ui", TeamID: "litellm-dashboard"})
	if got := l.aliases(""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("keys %v: sessions of the UI are none", got)
	}
	l.step(time.Minute)
	l.EditKey(k.Hash, func(k *simulator.Key) { k.Alias, k.TeamID = "renamed", "new" })
	if row, _ := l.Key(k.Hash); !row.UpdatedAt.Equal(l.Now()) || !slices.Equal(l.aliases("team_id=new"), []string{"renamed"}) {
		t.Errorf("moved: %+v", row)
	}
	if _, body := l.get("/v2/team/list?team_id=new", l.MasterKey()); !strings.Contains(body, `"keys_count":1`) {
		t.Errorf("team: %s", body)
	}
	hash := l.RegenerateKey(k.Hash)
	row, there := l.Key(hash)
	if _, old := l.Key(k.Hash); old || !there || row.Spend != 3 || !row.CreatedAt.Equal(k.CreatedAt) || row.Name == k.Name {
		t.Errorf("regenerated: %+v", row)
	}
	if status, _ := l.get("/key/info?key="+k.Hash, l.MasterKey()); status != 404 {
		t.Errorf("old hash: %d", status)
	}
	if status, _ := l.get("/key/info", row.Raw); status != 200 {
		t.Errorf("new bearer: %d", status)
	}
	l.DeleteKey(hash)
	if got := l.aliases(""); len(got) != 0 {
		t.Errorf("deleted: %v", got)
	}
	if l.EditKey(hash, func(*simulator.Key) {}) || l.EditTeam("none", func(*simulator.Team) {}) {
		t.Error("what is not there was edited")
	}
	if flights, refusals := l.Begin(t.Context(), simulator.Request{Key: hash}); flights[0] != nil || refusals[0] != nil {
		t.Errorf("a request of a deleted key: %v %v", flights[0], refusals[0])
	}
}

func TestTeams(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	for i, id := range []string{"b", "a", "c"} {
		l.AddTeam(simulator.Team{ID: id, Alias: "Team " + id, CreatedAt: start.Add(time.Duration(i) * time.Second)})
	}
	teams := func(query string) string {
		status, body := l.get("/v2/team/list?"+query, l.MasterKey())
		var answer struct {
			Teams []struct {
				ID string `json:"team_id"`
			} `json:"teams"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", query, status, body)
		}
		ids := ""
		for _, team := range answer.Teams {
			ids += team.ID
		}
		return ids
	}
	for query, want := range map[string]string{
		"": "cab", "sort_by=team_id": "abc", "sort_by=team_id&sort_order=desc": "cba", "sort_by=spend": "cab",
		"team_id=a": "a", "team_alias=TEAM": "cab", "team_alias=team b": "b", "page_size=2&page=2": "b", "organization_id=o": "",
	} {
		if got := teams(strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	l.EditTeam("a", func(team *simulator.Team) { team.Blocked = true })
	if _, body := l.get("/team/info?team_id=a", l.MasterKey()); !strings.Contains(body, `"blocked":true`) {
		t.Errorf("edited: %s", body)
	}
	l.DeleteTeam("a")
	if got := teams(""); got != "cb" {
		t.Errorf("deleted: %s", got)
	}
}

func TestTeamInfoLimitsKeys(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]int{"1.87.5": 3, "1.90.7": 1} {
		l := newLab(t, server, simulator.Options{Release: release})
		l.AddTeam(simulator.Team{ID: "t"})
		l.AddKeys(3, func(int) simulator.Key { return simulator.Key{TeamID: "t"} })
		_, body := l.get("/team/info?team_id=t&key_limit=1", l.MasterKey())
		if got := strings.Count(body, `"token":`); got != want {
			t.Errorf("%s: %d keys, want %d", release, got, want)
		}
	}
}

// TestKeyInfoRaisesWindows: from 1.101.6 on the windows' counters are told as enforcement reads them.
func TestKeyInfoRaisesWindows(t *testing.T) {
	server := redistest.Standalone(t)
	for release, want := range map[string]string{"1.90.7": "", "1.101.6": "0.31"} {
		l := newLab(t, server, simulator.Options{Release: release})
		k := l.AddKey(simulator.Key{Windows: []simulator.Window{{Duration: "1d", MaxBudget: 2, ResetAt: midnight, Spend: 0.31}}})
		_, body := l.get("/key/info?key="+k.Hash, l.MasterKey())
		if got := l.counter(simulator.WindowCounter(keyCounter(k), "1d")); got != want || strings.Contains(body, `"budget_limits_usage":{"1d":{"current_spend":0.31}}`) != (want != "") {
			t.Errorf("%s: counter %q, body %s", release, got, body)
		}
		l.get("/key/list?return_full_object=true", l.MasterKey())
	}
}

func TestOddAliases(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	for _, alias := range []string{`say "hi" \ there`, "two\nlines", "🦊<&>", strings.Repeat("x", 10_000)} {
		k := l.AddKey(simulator.Key{Alias: alias})
		if got := l.aliases("key_hash=" + k.Hash); !slices.Equal(got, []string{alias}) {
			t.Errorf("%.20q came back as %.20q", alias, got)
		}
	}
}

func TestNumbersAreWrittenAsPythonDoes(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	for v, want := range map[float64]string{0: "0.0", 10: "10.0", -1.5: "-1.5", 0.0001: "0.0001", 0.00001: "1e-05", 1e16: "1e+16", 123456789.125: "123456789.125", 0.30000000000000004: "0.30000000000000004"} {
		k := l.AddKey(simulator.Key{Spend: v})
		if _, body := l.get("/key/info?key="+k.Hash, l.MasterKey()); !strings.Contains(body, `"spend":`+want+`,`) {
			t.Errorf("%v: %s", v, body)
		}
	}
}

func TestAHundredThousandKeys(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	l.AddKeys(100_000, func(i int) simulator.Key {
		return simulator.Key{Alias: fmt.Sprintf("key-%d", i), Spend: float64(i) / 100}
	})
	last := ""
	seen := 0
	for page := 1; page <= 1000; page += 111 {
		_, body := l.get(fmt.Sprintf("/key/list?sort_by=token&sort_order=asc&size=100&page=%d", page), l.MasterKey())
		var answer struct {
			Keys  []string `json:"keys"`
			Total int      `json:"total_count"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Total != 100_000 || len(answer.Keys) != 100 || answer.Keys[0] <= last || !slices.IsSorted(answer.Keys) {
			t.Fatalf("page %d: %v, %.200s", page, err, body)
		}
		last = answer.Keys[99]
		seen++
	}
	if got := l.aliases("size=2"); !slices.Equal(got, []string{"key-99999", "key-99998"}) || seen != 10 {
		t.Errorf("the newest: %v", got)
	}
}

func TestFaults(t *testing.T) {
	l := newLab(t, redistest.Standalone(t), simulator.Options{})
	for i := range 5 {
		l.AddKey(simulator.Key{Alias: string(rune('a' + i)), CreatedAt: start.Add(-time.Duration(i) * time.Second)})
	}
	const list = "/key/list"
	server := httptest.NewServer(l.Handler())
	t.Cleanup(server.Close)
	ask := func(t *testing.T, query string) (status int, body string, err error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+list+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+l.MasterKey())
		client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		return response.StatusCode, string(text) + response.Header.Get("Location"), err
	}
	inject := func(t *testing.T, f simulator.Fault) {
		t.Helper()
		t.Cleanup(l.Inject(list, f))
	}
	t.Run("answer", func(t *testing.T) {
		inject(t, simulator.Answer(503, `{"oops":1}`))
		if status, body, err := ask(t, ""); err != nil || status != 503 || body != `{"oops":1}` {
			t.Errorf("%v %s", err, body)
		}
		if status, _ := l.get("/v2/team/list", l.MasterKey()); status != 200 {
			t.Errorf("another path: %d", status)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		inject(t, simulator.Redirect("http://elsewhere.invalid/"))
		if status, body, err := ask(t, ""); err != nil || status != 302 || !strings.HasSuffix(body, "http://elsewhere.invalid/") {
			t.Errorf("%v %d %s", err, status, body)
		}
	})
	t.Run("truncate", func(t *testing.T) {
		inject(t, simulator.Truncate())
		if _, body, err := ask(t, ""); !errors.Is(err, io.ErrUnexpectedEOF) || body == "" {
			t.Errorf("%v %q", err, body)
		}
	})
	t.Run("delay", func(t *testing.T) {
		inject(t, simulator.Delay(30*time.Millisecond))
		before := time.Now()
		if _, _, err := ask(t, ""); err != nil || time.Since(before) < 30*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(before))
		}
	})
	t.Run("rewrite", func(t *testing.T) {
		inject(t, simulator.Rewrite(func(body []byte) []byte { return body[1:] }))
		if _, body, err := ask(t, ""); err != nil || !strings.HasPrefix(body, `"keys"`) {
			t.Errorf("%v %s", err, body)
		}
	})
	t.Run("repeated page", func(t *testing.T) {
		inject(t, simulator.RepeatPage())
		_, first, _ := ask(t, "?size=2")
		_, second, err := ask(t, "?size=2&page=2")
		if err != nil || strings.Replace(second, `"current_page":2`, `"current_page":1`, 1) != first {
			t.Errorf("%v\n%s\n%s", err, first, second)
		}
	})
	t.Run("shrunken page", func(t *testing.T) {
		inject(t, simulator.ShrinkPage(2))
		_, body, err := ask(t, "?size=5")
		var answer struct {
			Keys  []string `json:"keys"`
			Total int      `json:"total_count"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || err != nil || len(answer.Keys) != 3 || answer.Total != 5 {
			t.Errorf("%v %s", err, body)
		}
	})
	t.Run("gone", func(t *testing.T) {
		if status, _, err := ask(t, ""); err != nil || status != 200 {
			t.Errorf("%v %d", err, status)
		}
	})
}
