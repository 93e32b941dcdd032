package litellm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// keyRow decodes one item of /key/list with the given fields beside its token.
func keyRow(t *testing.T, fields string) (*budget.Row, error) {
	t.Helper()
	body := `{"keys":[{"token":"abc",` + fields + `}],"total_count":1,"current_page":1,"total_pages":1}`
	return answering(t, 200, body).Key(t.Context(), "abc")
}

func TestNumbers(t *testing.T) {
	none := budget.Optional[float64]{}
	for spend, want := range map[string]budget.Optional[float64]{
		`3.536`:                 budget.Some(3.536),
		`0`:                     budget.Some(0.0),
		`-0.25`:                 budget.Some(-0.25),
		`1e-7`:                  budget.Some(1e-7),
		`1.5E+3`:                budget.Some(1500.0),
		`"3.5"`:                 budget.Some(3.5),
		`" -1e2 "`:              budget.Some(-100.0),
		`0.1000000000000000055`: budget.Some(0.1),
		`null`:                  none,
		`"NaN"`:                 none,
		`"Infinity"`:            none,
		`"-inf"`:                none,
		`1e999`:                 none,
		`"1e999"`:               none,
	} {
		row, err := keyRow(t, `"spend":`+spend)
		if err != nil || row.Spend != want {
			t.Errorf("spend %s: %+v, %v; want %+v", spend, row, err, want)
		}
	}
	row, err := keyRow(t, `"key_alias":"no spend at all"`)
	if err != nil || row.Spend.Known || row.TotalSpend.Known || row.MaxBudget.Known {
		t.Errorf("absent numbers: %+v, %v", row, err)
	}
}

func TestEveryNumberMayBeQuoted(t *testing.T) {
	row, err := keyRow(t, `"spend":"1","total_spend":"2","max_budget":"3","tpm_limit":"4","rpm_limit":"5",
		"budget_id":"b","litellm_budget_table":{"budget_id":"b","max_budget":"6"},
		"budget_limits":[{"budget_duration":"1d","max_budget":"7"}],
		"metadata":{"temp_budget_increase":"8","temp_budget_expiry":"2026-11-26T00:00:00Z","throttle_on_budget_exceeded":true}`)
	if err != nil {
		t.Fatal(err)
	}
	got := []float64{row.Spend.Value, row.TotalSpend.Value, row.MaxBudget.Value, row.Link.Budget.Value.MaxBudget.Value, row.Windows[0].MaxBudget.Value, row.TempIncrease.USD}
	if want := []float64{1, 2, 3, 6, 7, 8}; !slices.Equal(got, want) || !row.Throttled {
		t.Errorf("got %v, throttled %v; want %v, throttled", got, row.Throttled, want)
	}
}

func TestOfARawKeyOnlyItsHashIsKept(t *testing.T) {
	const raw = "sk-hunter2"
	body := `{"keys":[{"token":"` + raw + `","spend":1},{"token":"abc","spend":2}],"total_count":2,"current_page":1,"total_pages":1}`
	c := answering(t, 200, body)
	p, err := c.Keys(t.Context(), litellm.ByToken, 1)
	if err != nil || len(p.Rows) != 2 || p.Rows[0].ID.Value != budget.HashKey(raw) || p.Rows[1].ID.Value != "abc" {
		t.Fatalf("read %+v, %v; want the hash of the first and the second as it is", p.Rows, err)
	}
	if text := fmt.Sprintf("%+v %+v", *p.Rows[0], *p.Rows[1]); strings.Contains(text, "hunter2") {
		t.Errorf("%s holds the raw key", text)
	}
	body = `{"keys":[{"token":"` + raw + `","spend":1}],"total_count":1,"current_page":1,"total_pages":1}`
	if row, err := answering(t, 200, body).Key(t.Context(), budget.HashKey(raw)); err != nil || row.ID.Value != budget.HashKey(raw) {
		t.Errorf("read singly: %+v, %v", row, err)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 12, 1, 10, 20, 30, 0, time.UTC)
	for _, form := range []string{
		"2026-12-01T10:20:30Z", "2026-12-01T10:20:30.000000+00:00", "2026-12-01T10:20:30", "2026-12-01 10:20:30",
		"2026-12-01T12:20:30+02:00", "2026-12-01T05:20:30-0500", "2026-12-01 10:20:30+00:00",
	} {
		row, err := keyRow(t, fmt.Sprintf(`"budget_reset_at":%q,"expires":%q,"created_at":%q`, form, form, form))
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if some := budget.Some(want); row.ResetAt != some || row.Expires != some || row.CreatedAt != some {
			t.Errorf("%s: reset %v, expires %v, created %v", form, row.ResetAt, row.Expires, row.CreatedAt)
		}
	}
	row, err := keyRow(t, `"budget_reset_at":null,"expires":null,"created_at":null`)
	if err != nil || row.ResetAt.Known || row.Expires.Known || row.CreatedAt.Known {
		t.Errorf("null times: %+v, %v", row, err)
	}
	row, err = keyRow(t, `"expires":"2026-12-01"`)
	if err != nil || row.Expires != budget.Some(hourOf2026(12, 1, 0)) {
		t.Errorf("a date: %+v, %v", row, err)
	}
}

func TestLink(t *testing.T) {
	known := budget.Some(budget.LinkedBudget{ID: "b", MaxBudget: budget.Some(7.0)})
	for _, tc := range []struct {
		name   string
		fields string
		want   budget.BudgetLink
	}{
		{"absent", `"max_budget":null`, budget.BudgetLink{State: budget.LinkUnread}},
		{"absent, own cap", `"max_budget":3`, budget.BudgetLink{State: budget.LinkUnread}},
		{"absent, budget not loaded", `"litellm_budget_table":null`, budget.BudgetLink{State: budget.LinkUnread}},
		{"null", `"budget_id":null`, budget.BudgetLink{State: budget.LinkNone}},
		{"not loaded", `"budget_id":"b","litellm_budget_table":null`, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b"}},
		{"loaded", `"budget_id":"b","litellm_budget_table":{"budget_id":"b","max_budget":7}`, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b", Budget: known}},
		{"only the budget", `"litellm_budget_table":{"budget_id":"b","max_budget":7}`, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b", Budget: known}},
		{"budget without cap", `"budget_id":"b","litellm_budget_table":{"budget_id":"b","max_budget":null}`, budget.BudgetLink{State: budget.LinkTo, BudgetID: "b", Budget: budget.Some(budget.LinkedBudget{ID: "b"})}},
	} {
		row, err := keyRow(t, tc.fields)
		if err != nil || row.Link != tc.want || row.Names.BudgetID != tc.want.BudgetID {
			t.Errorf("%s: %+v, %v; want %+v", tc.name, row, err, tc.want)
		}
	}
}

func TestWindows(t *testing.T) {
	window := func(duration string, limit float64) budget.Window {
		return budget.Window{Duration: duration, MaxBudget: budget.Some(limit)}
	}
	for _, tc := range []struct {
		limits string
		want   []budget.Window
	}{
		{`null`, nil},
		{`[]`, nil},
		{`"null"`, nil},
		{`[{"budget_duration":"1d","max_budget":5},{"budget_duration":"1h","max_budget":1}]`, []budget.Window{window("1d", 5), window("1h", 1)}},
		{`"[{\"budget_duration\":\"1d\",\"max_budget\":5}]"`, []budget.Window{window("1d", 5)}},
		{`[{"budget_duration":"1d","max_budget":5},{"budget_duration":"1h","max_budget":1},{"budget_duration":"1d","max_budget":2}]`, []budget.Window{window("1d", 2), window("1h", 1)}},
		{`[{"budget_duration":"1d","max_budget":2},{"budget_duration":"1d","max_budget":5}]`, []budget.Window{window("1d", 2)}},
		{`[{"budget_duration":"1d","max_budget":null},{"budget_duration":"1d","max_budget":5}]`, []budget.Window{window("1d", 5)}},
		{`[{"budget_duration":"1d","max_budget":5},{"budget_duration":"1d"}]`, []budget.Window{window("1d", 5)}},
		{`[{"budget_duration":"1d","reset_at":"2026-12-01T00:00:00"}]`, []budget.Window{{Duration: "1d", ResetAt: budget.Some(hourOf2026(12, 1, 0))}}},
	} {
		row, err := keyRow(t, `"budget_limits":`+tc.limits)
		if err != nil || !slices.Equal(row.Windows, tc.want) {
			t.Errorf("%s: %+v, %v; want %+v", tc.limits, row, err, tc.want)
		}
	}
}

func TestTemporaryIncrease(t *testing.T) {
	at := hourOf2026(11, 26, 0)
	for _, tc := range []struct {
		metadata string
		want     budget.TemporaryIncrease
	}{
		{`null`, budget.TemporaryIncrease{}},
		{`{}`, budget.TemporaryIncrease{}},
		{`"{}"`, budget.TemporaryIncrease{}},
		{`{"temp_budget_increase":5.0,"temp_budget_expiry":"2026-11-26T00:00:00"}`, budget.TemporaryIncrease{USD: 5, ExpiresAt: at, NoZone: true}},
		{`{"temp_budget_increase":5,"temp_budget_expiry":"2026-11-26"}`, budget.TemporaryIncrease{USD: 5, ExpiresAt: at, NoZone: true}},
		{`{"temp_budget_increase":"5","temp_budget_expiry":"2026-11-26T00:00:00Z"}`, budget.TemporaryIncrease{USD: 5, ExpiresAt: at}},
		{`{"temp_budget_increase":-2,"temp_budget_expiry":"2026-11-26T01:00:00+01:00"}`, budget.TemporaryIncrease{USD: -2, ExpiresAt: at}},
		{`"{\"temp_budget_increase\":5,\"temp_budget_expiry\":\"2026-11-26T00:00:00Z\"}"`, budget.TemporaryIncrease{USD: 5, ExpiresAt: at}},
		{`{"temp_budget_increase":5}`, budget.TemporaryIncrease{}},
		{`{"temp_budget_increase":5,"temp_budget_expiry":null}`, budget.TemporaryIncrease{}},
		{`{"temp_budget_expiry":"2026-11-26T00:00:00Z"}`, budget.TemporaryIncrease{}},
		{`{"temp_budget_increase":"NaN","temp_budget_expiry":"2026-11-26T00:00:00Z"}`, budget.TemporaryIncrease{}},
		// Metadata is anybody's to write: what makes no sense in it concerns this key alone.
		{`{"temp_budget_increase":"lots","temp_budget_expiry":"2026-11-26T00:00:00Z"}`, budget.TemporaryIncrease{}},
		{`{"temp_budget_increase":5,"temp_budget_expiry":"tomorrow"}`, budget.TemporaryIncrease{}},
		{`{"temp_budget_increase":5,"temp_budget_expiry":[1]}`, budget.TemporaryIncrease{}},
	} {
		row, err := keyRow(t, `"metadata":`+tc.metadata)
		if err != nil || row.TempIncrease != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.metadata, row, err, tc.want)
		}
	}
}

func TestThrottledNeedsConsentAndALimit(t *testing.T) {
	for fields, want := range map[string]bool{
		`"metadata":{"throttle_on_budget_exceeded":true},"tpm_limit":100`:                   true,
		`"metadata":{"throttle_on_budget_exceeded":true},"rpm_limit":"100"`:                 true,
		`"metadata":{"throttle_on_budget_exceeded":true},"tpm_limit":null,"rpm_limit":null`: false,
		`"metadata":{"throttle_on_budget_exceeded":true}`:                                   false,
		`"metadata":{"throttle_on_budget_exceeded":false},"tpm_limit":100`:                  false,
		`"metadata":{"throttle_on_budget_exceeded":"true"},"tpm_limit":100`:                 false,
		`"metadata":{},"tpm_limit":100`:                                                     false,
		`"metadata":null,"tpm_limit":100`:                                                   false,
	} {
		row, err := keyRow(t, fields)
		if err != nil || row.Throttled != want {
			t.Errorf("%s: %+v, %v; want %v", fields, row, err, want)
		}
	}
}

func TestBlocked(t *testing.T) {
	for value, want := range map[string]bool{`true`: true, `false`: false, `null`: false} {
		row, err := keyRow(t, `"blocked":`+value)
		if err != nil || row.Blocked != want {
			t.Errorf("%s: %+v, %v", value, row, err)
		}
	}
}

func TestNames(t *testing.T) {
	row, err := keyRow(t, `"key_alias":"ci","team_id":"t","user_id":"u","org_id":"o","project_id":"p","budget_id":"b","team_alias":"never set here","user_email":"a@b"`)
	want := budget.Names{Alias: "ci", TeamID: "t", UserID: "u", OrgID: "o", ProjectID: "p", BudgetID: "b"}
	if err != nil || row.Names != want {
		t.Errorf("names %+v, %v; want %+v", row, err, want)
	}
	row, err = answering(t, 200, `{"key":"abc","info":{"organization_id":"o"}}`).KeyInfo(t.Context(), "abc")
	if err != nil || row.Names.OrgID != "o" {
		t.Errorf("organization_id: %+v, %v", row, err)
	}
}

func TestAliasesSurviveWhateverTheyAre(t *testing.T) {
	long := strings.Repeat("ä", 10_000)
	for sent, want := range map[string]string{
		`quotes \" and \\ and \n`: "quotes \" and \\ and \n",
		`🚀`:                       "🚀",
		"\xff\xfe broken":         "\ufffd\ufffd broken",
		`\ud800 alone`:            "\ufffd alone",
		long:                      long,
		``:                        "",
	} {
		row, err := keyRow(t, `"key_alias":"`+sent+`"`)
		if err != nil || row.Names.Alias != want {
			t.Errorf("%.40q: %+v, %v", sent, row, err)
		}
	}
}

func TestUISessionKeysAreLeftOut(t *testing.T) {
	const items = `[{"token":"a","team_id":"litellm-dashboard"},{"token":"b","team_id":"t"}]`
	p, err := answering(t, 200, `{"keys":`+items+`,"total_count":2,"current_page":1,"total_pages":1}`).Keys(t.Context(), litellm.ByToken, 1)
	if err != nil || p.Received != 2 || len(p.Rows) != 1 || p.Rows[0].ID.Value != "b" {
		t.Errorf("page %+v, %v", p, err)
	}
	rows, err := answering(t, 200, `{"info":`+items+`}`).KeysInfo(t.Context(), []string{"a", "b"})
	if err != nil || len(rows) != 1 || rows[0].Names.TeamID != "t" {
		t.Errorf("batch %+v, %v", rows, err)
	}
	_, err = answering(t, 200, `{"keys":[{"token":"a","team_id":"litellm-dashboard"}],"total_count":1,"current_page":1,"total_pages":1}`).Key(t.Context(), "a")
	if !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("by hash: %v", err)
	}
	_, err = answering(t, 200, `{"key":"a","info":{"team_id":"litellm-dashboard"}}`).KeyInfo(t.Context(), "a")
	if !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("info: %v", err)
	}
}

func TestNotFound(t *testing.T) {
	empty := answering(t, 200, `{"keys":[],"teams":[],"total":0,"total_count":0,"page":1,"current_page":1,"total_pages":0}`)
	if _, err := empty.Key(t.Context(), "a"); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("key: %v", err)
	}
	if _, err := empty.Team(t.Context(), "t"); !errors.Is(err, litellm.ErrNotFound) {
		t.Errorf("team: %v", err)
	}
	deleted := answering(t, 200, `{"key":"a","info":{"spend":1,"status":"deleted","deleted_at":"2026-11-24T00:00:00Z"}}`)
	_, err := deleted.KeyInfo(t.Context(), "a")
	if failed := (*litellm.Error)(nil); !errors.Is(err, litellm.ErrNotFound) || errors.As(err, &failed) {
		t.Errorf("deleted key: %v, want ErrNotFound and no failed request", err)
	}
	for _, status := range []string{`"active"`, `"expired"`, `"revoked"`, `null`} {
		if _, err := answering(t, 200, `{"key":"a","info":{"spend":1,"status":`+status+`}}`).KeyInfo(t.Context(), "a"); err != nil {
			t.Errorf("status %s: %v", status, err)
		}
	}
}

// calls is a call of each method, for answers that must be refused.
var calls = map[string]func(ctx context.Context, c *litellm.Client) error{
	"Keys": func(ctx context.Context, c *litellm.Client) error {
		_, err := c.Keys(ctx, litellm.ByToken, 1)
		return err
	},
	"Key":     func(ctx context.Context, c *litellm.Client) error { _, err := c.Key(ctx, "a"); return err },
	"KeyInfo": func(ctx context.Context, c *litellm.Client) error { _, err := c.KeyInfo(ctx, "a"); return err },
	"KeysInfo": func(ctx context.Context, c *litellm.Client) error {
		_, err := c.KeysInfo(ctx, []string{"a"})
		return err
	},
	"Teams":    func(ctx context.Context, c *litellm.Client) error { _, err := c.Teams(ctx, 1); return err },
	"Team":     func(ctx context.Context, c *litellm.Client) error { _, err := c.Team(ctx, "a"); return err },
	"TeamInfo": func(ctx context.Context, c *litellm.Client) error { _, err := c.TeamInfo(ctx, "a"); return err },
	"Budgets":  func(ctx context.Context, c *litellm.Client) error { _, err := c.Budgets(ctx); return err },
	"Release":  func(ctx context.Context, c *litellm.Client) error { _, err := c.Release(ctx); return err },
	"FailedRequests": func(ctx context.Context, c *litellm.Client) error {
		_, err := c.FailedRequests(ctx, time.Now(), time.Now(), 1)
		return err
	},
}

func TestMalformedAnswers(t *testing.T) {
	item := func(fields string) string {
		return `{"keys":[{"token":"a"},` + fields + `],"total_count":2,"current_page":1,"total_pages":1}`
	}
	team := func(fields string) string {
		return `{"teams":[{"team_id":"t"},` + fields + `],"total":2,"page":1,"total_pages":1}`
	}
	failed := func(row string) string {
		return `{"data":[{"request_id":"a","startTime":"2026-11-24T07:00:00Z"},` + row + `],"page":1,"total_pages":1}`
	}
	for _, tc := range []struct {
		call string
		body string
		says string
	}{
		{"Keys", item(`{"spend":1}`), "keys[1].token:"},
		{"Keys", item(`{"token":""}`), "keys[1].token:"},
		{"Keys", item(`{"token":null}`), "keys[1].token:"},
		{"Keys", item(`{"token":7}`), "keys[1].token:"},
		{"Keys", item(`{"token":"b","spend":true}`), "keys[1].spend: want a number"},
		{"Keys", item(`{"token":"b","spend":"three"}`), "keys[1].spend:"},
		{"Keys", item(`{"token":"b","spend":""}`), "keys[1].spend:"},
		{"Keys", item(`{"token":"b","spend":{}}`), "keys[1].spend:"},
		{"Keys", item(`{"token":"b","total_spend":[]}`), "keys[1].total_spend:"},
		{"Keys", item(`{"token":"b","max_budget":"x"}`), "keys[1].max_budget:"},
		{"Keys", item(`{"token":"b","tpm_limit":"x"}`), "keys[1].tpm_limit:"},
		{"Keys", item(`{"token":"b","blocked":"no"}`), "keys[1].blocked: want true or false"},
		{"Keys", item(`{"token":"b","expires":12345}`), "keys[1].expires:"},
		{"Keys", item(`{"token":"b","expires":"soon"}`), "keys[1].expires: want an ISO 8601 time"},
		{"Keys", item(`{"token":"b","created_at":"2026-13-01T00:00:00Z"}`), "keys[1].created_at:"},
		{"Keys", item(`{"token":"b","key_alias":["x"]}`), "keys[1].key_alias: want a string"},
		{"Keys", item(`{"token":"b","team_id":1}`), "keys[1].team_id:"},
		{"Keys", item(`{"token":"b","budget_id":1}`), "keys[1].budget_id:"},
		{"Keys", item(`{"token":"b","litellm_budget_table":"b"}`), "keys[1].litellm_budget_table: want an object"},
		{"Keys", item(`{"token":"b","litellm_budget_table":{"max_budget":1}}`), "keys[1].litellm_budget_table.budget_id:"},
		{"Keys", item(`{"token":"b","litellm_budget_table":{"budget_id":"b","max_budget":[]}}`), "keys[1].litellm_budget_table.max_budget:"},
		{"Keys", item(`{"token":"b","budget_limits":{}}`), "keys[1].budget_limits: want a list"},
		{"Keys", item(`{"token":"b","budget_limits":"[{"}`), "keys[1].budget_limits: want a list"},
		{"Keys", item(`{"token":"b","budget_limits":[{"max_budget":1}]}`), "keys[1].budget_limits[0].budget_duration:"},
		{"Keys", item(`{"token":"b","budget_limits":[{"budget_duration":"1d","max_budget":"x"}]}`), "keys[1].budget_limits[0].max_budget:"},
		{"Keys", item(`{"token":"b","metadata":[]}`), "keys[1].metadata: want an object"},
		{"Keys", item(`{"token":"b","metadata":"{"}`), "keys[1].metadata:"},
		{"Keys", item(`"just a hash"`), "keys[1]: want an object"},
		{"Keys", item(`null`), "keys[1]: want an object"},
		{"Keys", `{"total_count":0,"current_page":1,"total_pages":0}`, "keys: want a list"},
		{"Keys", `{"keys":null,"total_count":0,"current_page":1,"total_pages":0}`, "keys: want a list"},
		{"Keys", `{"keys":[],"current_page":1,"total_pages":0}`, "total_count: want a whole number"},
		{"Keys", `{"keys":[],"total_count":-1,"current_page":1,"total_pages":0}`, "total_count:"},
		{"Keys", `{"keys":[],"total_count":1.5,"current_page":1,"total_pages":0}`, "total_count:"},
		{"Keys", `{"keys":[],"total_count":0,"current_page":1}`, "total_pages:"},
		{"Keys", `{"keys":[],"total_count":0,"total_pages":1}`, "current_page:"},
		{"Keys", `{"keys":[],"total_count":200,"current_page":2,"total_pages":2}`, "current_page is 2"},
		{"Keys", `{"keys":[{"token":"a","spend":NaN}],"total_count":1,"current_page":1,"total_pages":1}`, "no whole JSON"},
		{"Keys", `{"keys":[{"token":"a","spend":-Infinity}],"total_count":1,"current_page":1,"total_pages":1}`, "no whole JSON"},
		{"Key", `{"keys":[{"token":"other"}],"total_count":1,"current_page":1,"total_pages":1}`, "another entity"},
		{"KeyInfo", `{"key":"other","info":{}}`, "another key"},
		{"KeyInfo", `{"info":{}}`, "key:"},
		{"KeyInfo", `{"key":"a"}`, "info: want an object"},
		{"KeyInfo", `{"key":"a","info":{"spend":[]}}`, "info.spend:"},
		{"KeyInfo", `{"key":"a","info":{"status":1}}`, "info.status:"},
		{"KeysInfo", `{"key":[]}`, "info: want a list"},
		{"KeysInfo", `{"info":[{"spend":[]}]}`, "info[0].spend:"},
		{"Teams", team(`{"spend":1}`), "teams[1].team_id:"},
		{"Teams", team(`{"team_id":"u","spend":"x"}`), "teams[1].spend:"},
		{"Teams", team(`{"team_id":"u","budget_limits":[1]}`), "teams[1].budget_limits[0]: want an object"},
		{"Teams", team(`{"team_id":"u","blocked":1}`), "teams[1].blocked:"},
		{"Teams", `{"teams":[],"total":0,"page":3,"total_pages":0}`, "page is 3"},
		{"Teams", `{"teams":[],"page":1,"total_pages":0}`, "total:"},
		{"Team", `{"teams":[{"team_id":"other"}],"total":1,"page":1,"total_pages":1}`, "another entity"},
		{"TeamInfo", `{"team_id":"a","team_info":{"team_id":"other"}}`, "team_info.team_id:"},
		{"TeamInfo", `{"team_id":"a"}`, "team_info: want an object"},
		{"Budgets", `{"budgets":[]}`, "want a list"},
		{"Budgets", `[{"budget_id":"b"},{"max_budget":1}]`, "[1].budget_id:"},
		{"Budgets", `[{"budget_id":"b","max_budget":"x"}]`, "[0].max_budget:"},
		{"Release", `{"litellm_version":1}`, "litellm_version:"},
		{"FailedRequests", failed(`{"startTime":"2026-11-24T07:00:00Z"}`), "data[1].request_id:"},
		{"FailedRequests", failed(`{"request_id":"b"}`), "data[1].startTime: want an ISO 8601 time"},
		{"FailedRequests", failed(`{"request_id":"b","startTime":"2026-11-24T07:00:00Z","api_key":{}}`), "data[1].api_key:"},
		{"FailedRequests", failed(`7`), "data[1]: want an object"},
		{"FailedRequests", `{"data":{},"page":1,"total_pages":1}`, "data: want a list"},
		{"FailedRequests", `{"data":[],"page":1}`, "total_pages:"},
		{"FailedRequests", `{"data":[],"page":2,"total_pages":2}`, "page is 2"},
	} {
		t.Run(tc.call+" "+tc.says, func(t *testing.T) {
			err := calls[tc.call](t.Context(), answering(t, 200, tc.body))
			failed := failure(t, err)
			if failed.Reason != litellm.Malformed || !strings.Contains(failed.Error(), tc.says) {
				t.Errorf("%s: got %v, want %q in it", tc.body, err, tc.says)
			}
		})
	}
}

func TestEveryMethodRefusesWhatIsNotJSON(t *testing.T) {
	whole := string(load(t, "1.84.0", "key-list-full").Body)
	for _, body := range []string{``, `<html>log in</html>`, `[`, `null`, `7`, `"x"`, `{"keys":[{"token":"a"}`, whole[:len(whole)/2], whole + `}`} {
		for name, call := range calls {
			failed := failure(t, call(t.Context(), answering(t, 200, body)))
			if failed.Reason != litellm.Malformed {
				t.Errorf("%s of %.30q: %v", name, body, failed)
			}
		}
	}
}

func TestBudgetsByID(t *testing.T) {
	budgets, err := answering(t, 200, `[{"budget_id":"a","max_budget":"7.5","budget_reset_at":"2026-12-01T00:00:00"},{"budget_id":"b","max_budget":null}]`).Budgets(t.Context())
	if err != nil || len(budgets) != 2 {
		t.Fatalf("%v, %v", budgets, err)
	}
	if a := budgets["a"]; a != (budget.LinkedBudget{ID: "a", MaxBudget: budget.Some(7.5), ResetAt: budget.Some(hourOf2026(12, 1, 0))}) {
		t.Errorf("a: %+v", a)
	}
	if b := budgets["b"]; b != (budget.LinkedBudget{ID: "b"}) {
		t.Errorf("b: %+v", b)
	}
	if none, err := answering(t, 200, `[]`).Budgets(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("none: %v, %v", none, err)
	}
}

func TestTeamFields(t *testing.T) {
	row, err := answering(t, 200, `{"team_info":{"team_id":"t","team_alias":"Blue","organization_id":"o","spend":null,"max_budget":null,"blocked":true,
		"budget_limits":"[{\"budget_duration\":\"1d\",\"max_budget\":2}]","metadata":{"temp_budget_increase":5,"temp_budget_expiry":"2030-01-01"}}}`).TeamInfo(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if row.Spend.Known || row.MaxBudget.Known || !row.Blocked || len(row.Windows) != 1 || row.TempIncrease != (budget.TemporaryIncrease{}) {
		t.Errorf("row %+v", row)
	}
	if row.Names != (budget.Names{Alias: "Blue", OrgID: "o"}) || row.Link != (budget.BudgetLink{State: budget.LinkNone}) {
		t.Errorf("names %+v, link %+v", row.Names, row.Link)
	}
}

// Hundreds of thousands of rows name the same teams: from whatever page, they share one copy of the name.
func TestRowsShareTheirNames(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"token":"a","team_id":"team-1","budget_id":"b-1"}],"total_count":2,"current_page":%s,"total_pages":2}`, r.URL.Query().Get("page"))
	})
	var names []budget.Names
	for page := 1; page <= 2; page++ {
		p, err := c.Keys(t.Context(), litellm.ByToken, page)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, p.Rows[0].Names)
	}
	if unsafe.StringData(names[0].TeamID) != unsafe.StringData(names[1].TeamID) || unsafe.StringData(names[0].BudgetID) != unsafe.StringData(names[1].BudgetID) {
		t.Error("two rows hold copies of one team's or budget's name")
	}
}

// What it takes to decode a page is no load on LiteLLM: the page tells when its answer had arrived.
func TestPagesTellWhenTheyArrived(t *testing.T) {
	before := time.Now()
	keys, err := answering(t, 200, `{"keys":[{"token":"a","spend":1}],"total_count":1,"current_page":1,"total_pages":1}`).Keys(t.Context(), litellm.ByToken, 1)
	if err != nil || keys.ReadAt.Before(before) || !keys.ReadAt.Equal(keys.Rows[0].ReadAt) {
		t.Errorf("keys: %v, %v", keys.ReadAt, err)
	}
	teams, err := answering(t, 200, `{"teams":[],"total":0,"page":1,"total_pages":0}`).Teams(t.Context(), 1)
	if err != nil || teams.ReadAt.Before(before) {
		t.Errorf("teams: %v, %v", teams.ReadAt, err)
	}
}
