package litellm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
	"litellm_budget_exporter/conformance/recorded"
)

func failedRequests(t *testing.T, c *litellm.Client) []refusals.Refusal {
	t.Helper()
	p, err := c.FailedRequests(t.Context(), time.Now().Add(-time.Minute), time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return p.Refusals
}

// The key "tiny" was refused in every release; what else failed was no matter of a budget.
func TestRecordedRefusalsTellWhatWasEnforced(t *testing.T) {
	for _, release := range recorded.Releases() {
		for _, recording := range []string{"spend-logs-v2", "spend-logs-v2-failures"} {
			t.Run(release+" "+recording, func(t *testing.T) {
				found := failedRequests(t, replaying(t, release, recording))
				if len(found) == 0 {
					t.Fatal("none was found")
				}
				requests := map[uint64]bool{}
				for _, r := range found {
					requests[r.Request] = true
					if r.Scope != budget.Key || r.ID == "" || r.ID != r.Key || !r.Own || r.Cap != budget.Some(0.0008) {
						t.Errorf("got %+v, want the cap of 0.0008 of a key", r)
					}
					if !r.Enforced.Known || r.Enforced.Value < 0.0008 || r.Enforced.Value > 0.001 {
						t.Errorf("enforced were %v", r.Enforced)
					}
					if day := r.At.Format(time.DateOnly); day != "2026-11-24" {
						t.Errorf("at %v", r.At)
					}
				}
				if len(requests) != len(found) {
					t.Errorf("%d refusals of %d requests", len(found), len(requests))
				}
			})
		}
	}
}

func TestQueriesOfFailedRequests(t *testing.T) {
	var query url.Values
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { query = r.URL.Query() })
	from := time.Date(2026, 11, 24, 8, 30, 1, 999e6, time.FixedZone("CET", 3600))
	newest := budget.ReleaseOf("1.109.1")
	for name, tc := range map[string]struct {
		call   func()
		filter string
		value  string
	}{
		"all":    {func() { _, _ = c.FailedRequests(t.Context(), from, from.Add(time.Minute), 1) }, "", ""},
		"a key":  {func() { _, _ = c.FailedRequestsOf(t.Context(), newest, keyID("abc"), from, from.Add(time.Minute)) }, "api_key", "abc"},
		"a team": {func() { _, _ = c.FailedRequestsOf(t.Context(), newest, teamID("t 1"), from, from.Add(time.Minute)) }, "team_id", "t 1"},
		"a team that the log does not name": {func() {
			_, _ = c.FailedRequestsOf(t.Context(), budget.ReleaseOf("1.86.2"), teamID("t 1"), from, from.Add(time.Minute))
		}, "error_message", "Team=t 1"},
	} {
		tc.call()
		want := url.Values{
			"start_date": {"2026-11-24 07:30:01"}, "end_date": {"2026-11-24 07:31:02"}, "status_filter": {"failure"},
			"sort_by": {"startTime"}, "sort_order": {"desc"}, "page": {"1"}, "page_size": {"100"},
		}
		if tc.filter != "" {
			want.Set(tc.filter, tc.value)
		}
		if query.Encode() != want.Encode() {
			t.Errorf("%s: sent %v, want %v", name, query, want)
		}
	}
}

func keyID(hash string) budget.ID { return budget.ID{Scope: budget.Key, Value: hash} }
func teamID(id string) budget.ID  { return budget.ID{Scope: budget.Team, Value: id} }

func failureRow(apiKey, metadata string) string {
	return fmt.Sprintf(`{"data":[{"request_id":"r-1","api_key":%s,"startTime":"2026-11-24T07:00:00.5Z","metadata":%s}],"page":1,"total_pages":1}`, apiKey, metadata)
}

// Up to 1.86.2 the log holds the header of a request that was refused by a team, in whole, as LiteLLM took it from its
// client. What is kept of it is the hash by which LiteLLM knows the key.
func TestNothingOfARawKeyIsKept(t *testing.T) {
	const secret = "Bearer sk-hunter2"
	hash, token := strings.Repeat("ab", 32), budget.HashKey("sk-hunter2")
	info := `{"error_class":"BudgetExceededError","traceback":"` + secret + `","error_message":"Budget has been exceeded! %s Current cost: 2.0, Max budget: 1.0"}`
	for apiKey, key := range map[string]string{
		secret: token, "bearer sk-hunter2": token, "Basic sk-hunter2": token, "sk-hunter2": token,
		"Bearer hunter2": "", "Bearer sk-hunter2 sk-hunter2": "", "": "", "None": "", hash[1:] + "G": "", strings.ToUpper(hash): "", hash + "\n": "",
	} {
		for who, id := range map[string]string{"Key=" + hash: hash, "Key=sk-hunter2": key, "Team=t-1": "t-1"} {
			quoted, _ := json.Marshal(apiKey)
			found := failedRequests(t, answering(t, 200, failureRow(string(quoted), `{"error_information":`+fmt.Sprintf(info, who)+`}`)))
			if len(found) != 1 || found[0].Key != key || found[0].ID != id || found[0].Enforced != budget.Some(2.0) {
				t.Errorf("of %q by %q: %+v", apiKey, who, found)
			}
			if text := fmt.Sprintf("%+v", found); strings.Contains(text, "hunter2") {
				t.Errorf("%s holds the raw key", text)
			}
		}
	}
}

func TestRowsWithoutAReadableErrorConcernNobodyElse(t *testing.T) {
	const class = `"error_class":"BudgetExceededError"`
	for metadata, refused := range map[string]int{
		`null`:                        0,
		`"{"`:                         0,
		`[]`:                          0,
		`{}`:                          0,
		`{"error_information":null}`:  0,
		`{"error_information":"bad"}`: 0,
		`{"error_information":{` + class + `,"error_message":7,"error_budget_limit":"x"}}`:  1,
		`"{\"error_information\":{\"error_class\":\"BudgetExceededError\"}}"`:               1, // a JSON column sent as a string
		`{"error_information":{` + class + `,"error_budget_entity_type":["key"]}}`:          1,
		`{"error_information":{"error_budget_entity_type":"team","error_budget_limit":1}}`:  1,
		`{"error_information":{"error_class":["BudgetExceededError"],"error_message":"x"}}`: 0,
	} {
		if got := failedRequests(t, answering(t, 200, failureRow(`"x"`, metadata))); len(got) != refused {
			t.Errorf("%s: %+v, want %d", metadata, got, refused)
		}
	}
}
