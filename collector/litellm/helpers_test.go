package litellm_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/conformance/recorded"
)

// credential is the exporter's own key in these tests: no error may hold any of it.
const credential = "sk-exporter-credential-1234"

func newClient(t *testing.T, url string) *litellm.Client {
	t.Helper()
	c, err := litellm.New(litellm.Options{URL: url, HTTP: bearer(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bearer() commoncfg.HTTPClientConfig {
	return commoncfg.HTTPClientConfig{Authorization: &commoncfg.Authorization{Credentials: credential}}
}

func serve(t *testing.T, h http.HandlerFunc) *litellm.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newClient(t, srv.URL)
}

// answering is a LiteLLM that gives every request the same answer.
func answering(t *testing.T, status int, body string) *litellm.Client {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

func load(t *testing.T, release, name string) recorded.Answer {
	t.Helper()
	a, err := recorded.Load(release, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// replaying is a LiteLLM that gives every request one recorded answer.
func replaying(t *testing.T, release, name string) *litellm.Client {
	t.Helper()
	a := load(t, release, name)
	return answering(t, a.Status, string(a.Body))
}

// database is what the release's Postgres held when it was recorded.
type database struct {
	Keys []struct {
		Alias     string   `json:"key_alias"`
		Spend     float64  `json:"spend"`
		MaxBudget *float64 `json:"max_budget"`
		BudgetID  *string  `json:"budget_id"`
		ResetAt   *string  `json:"budget_reset_at"`
	} `json:"spend_in_LiteLLM_VerificationToken"`
	Team float64 `json:"team,string"`
}

func loadRaw[T any](t *testing.T, release, name string) (v T) {
	t.Helper()
	raw, err := recorded.Raw(release, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type about struct {
	KeyHashes map[string]string `json:"key_hashes"`
}

func byID(rows []*budget.Row) map[string]*budget.Row {
	found := map[string]*budget.Row{}
	for _, r := range rows {
		found[r.ID.Value] = r
	}
	return found
}

// failure is the *Error that a request must have ended with.
func failure(t *testing.T, err error) *litellm.Error {
	t.Helper()
	var failed *litellm.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return failed
}

func hourOf2026(month time.Month, day, hour int) time.Time {
	return time.Date(2026, month, day, hour, 0, 0, 0, time.UTC)
}
