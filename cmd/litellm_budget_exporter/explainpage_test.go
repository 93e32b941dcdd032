package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// pageOf is the page about the incidents of the landing page's tests.
func pageOf(s *budget.Snapshot) *explainPage {
	return &explainPage{
		snapshot: func() *budget.Snapshot { return s },
		explain: func(s *budget.Snapshot, id budget.ID) *explain.Explanation {
			for _, e := range s.Entities[id.Scope] {
				if e.ID == id {
					terms := budget.Terms{Cap: e.Cap}
					history := []budget.Sample{
						{At: landingNow.Add(-time.Minute), Reported: e.Reported, Terms: terms},
						{At: landingNow, Reported: e.Reported, Counter: e.Enforced, TTL: time.Minute, Terms: terms},
					}
					return explain.Explain(explain.Input{
						Snapshot: s, Deployment: explain.Deployment{LiteLLMURL: "https://litellm.example.com"},
						Asked: explain.Entity{Entity: e, History: history},
					})
				}
			}
			return nil
		},
		logger: slog.New(slog.DiscardHandler),
	}
}

func TestExplainPage(t *testing.T) {
	s := incidents()
	locked, twin := s.Entities[budget.Key][4], *s.Entities[budget.Key][4]
	twin.ID.Value = "another one"
	s.Entities[budget.Key] = append(s.Entities[budget.Key], &twin)
	twin.Names.Alias, s.Entities[budget.Key][0].Names.Alias = "twin <b>", "twin <b>"
	suspected := *s.Entities[budget.Key][4]
	suspected.ID.Value, suspected.Names.Alias = "suspected", ""
	suspected.Verdict, suspected.Cause, suspected.FalselyLockedLast = budget.OK, budget.NoCause, budget.Optional[time.Time]{}
	suspected.Suspected = &budget.Suspicion{Verdict: budget.FalselyLocked, Since: landingNow.Add(-10 * time.Second), Due: budget.Some(landingNow.Add(5 * time.Second))}
	s.Entities[budget.Key] = append(s.Entities[budget.Key], &suspected)
	failing := incidents()
	failing.Entities = nil
	failing.Sources[budget.LiteLLM] = budget.SourceState{Problem: "connection refused"}

	stalled := incidents()
	stalled.Sources[budget.Redis] = up(0)
	stalled.FleetCauses = map[budget.FleetCause]bool{budget.FlushStalled: true}
	stalled.FleetEvidence = map[budget.FleetCause][]budget.Evidence{budget.FlushStalled: {{Name: "rows_unmoved_seconds", Value: 240}}}

	for name, c := range map[string]struct {
		snapshot *budget.Snapshot
		id       string
		status   int
	}{
		"locked":       {s, locked.ID.Value, 200},
		"bypassed":     {s, s.Entities[budget.Team][0].ID.Value, 200},
		"unexplained":  {s, s.Entities[budget.Key][0].ID.Value, 200},
		"stalled":      {stalled, stalled.Entities[budget.Key][0].ID.Value, 200},
		"suspected":    {s, "suspected", 200},
		"twins":        {s, "twin <b>", 409},
		"stranger":     {s, "nobody", 404},
		"down":         {failing, "nobody", 503},
		"raw-key":      {s, "sk-secret", 400},
		"no-id":        {s, "", 400},
		"nothing-read": {nil, "x", 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			pageOf(c.snapshot).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/explain?id="+url.QueryEscape(c.id), nil))
			if w.Code != c.status || strings.Contains(w.Body.String(), "sk-secret") {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
				t.Errorf("the page may load %q", csp)
			}
			golden(t, filepath.Join("explain", name+".html"), w.Body.Bytes())

			w = httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/explain?id="+url.QueryEscape(c.id), nil)
			r.Header.Set("Accept", "application/json")
			pageOf(c.snapshot).ServeHTTP(w, r)
			if w.Code != c.status || w.Header().Get("Content-Type") != "application/json" || strings.Contains(w.Body.String(), "sk-secret") {
				t.Errorf("as JSON: status %d, %v", w.Code, w.Header())
			}
			golden(t, filepath.Join("explain", name+".json"), w.Body.Bytes())
		})
	}
}
