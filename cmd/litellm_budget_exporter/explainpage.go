package main

import (
	"bytes"
	_ "embed" // the page's template
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

//go:embed explain.html
var explainHTML string

var explainTemplate = template.Must(template.Must(template.New("explain").Funcs(template.FuncMap{
	"words":  func(label any) string { return words(fmt.Sprint(label)) },
	"clock":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"shown":  func(name any) string { return shown(fmt.Sprint(name)) },
	"scopes": func(scopes []string) string { return words(strings.Join(scopes, ", ")) },
	"link":   func(m match) string { return explainLink(m.ID) },
}).Parse(styleHTML)).Parse(explainHTML))

// explainLink is where an entity is explained, relative to the pages.
func explainLink(id string) string { return "explain?id=" + url.QueryEscape(id) }

// explainPage explains one entity as the last snapshot has it: as a page for people, as JSON for programs. It takes
// identities only.
type explainPage struct {
	snapshot func() *budget.Snapshot // nil before the first one
	explain  func(*budget.Snapshot, budget.ID) *explain.Explanation
	logger   *slog.Logger
}

// explainError is the JSON form of a refusal.
type explainError struct {
	Error   string  `json:"error"`
	Matches []match `json:"matches,omitempty"` // where several entities have the alias
}

func (p *explainPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	asJSON := query.Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json")
	status, x, refused := p.answer(canonical(query.Get("id")))
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		var answer any = x
		if refused != nil {
			answer = refused
		}
		_ = json.NewEncoder(w).Encode(answer) // fails only when the reader has gone
		return
	}
	var page bytes.Buffer
	if err := explainTemplate.Execute(&page, map[string]any{"X": x, "Refused": refused}); err != nil {
		p.logger.Error("Cannot make the page", "err", err)
		http.Error(w, "cannot make the page", http.StatusInternalServerError)
		return
	}
	sendPage(w, status, &page)
}

func (p *explainPage) answer(entity string) (status int, x *explain.Explanation, refused *explainError) {
	switch {
	case entity == "":
		return http.StatusBadRequest, nil, &explainError{Error: "which key or team? explain?id=… takes a key's SHA-256 or alias, or a team's id or alias"}
	case budget.HoldsRawKey(entity):
		return http.StatusBadRequest, nil, &explainError{Error: credentialGiven}
	}
	s := p.snapshot()
	if s == nil {
		return http.StatusServiceUnavailable, nil, &explainError{Error: "nothing was read yet"}
	}
	found, _ := find(s, entity)
	if len(found) == 1 {
		if x = p.explain(s, found[0].id()); x != nil {
			return http.StatusOK, x, nil
		}
	}
	if len(found) > 1 {
		return http.StatusConflict, nil, &explainError{Error: "several keys and teams have that alias; take the id of one", Matches: found}
	}
	unknown := (&whichOf{}).Error()
	if problem := s.Sources[budget.LiteLLM].Problem; problem != "" {
		return http.StatusServiceUnavailable, nil, &explainError{Error: unknown + ", as far as is known: LiteLLM cannot be read: " + problem}
	}
	return http.StatusNotFound, nil, &explainError{Error: unknown}
}
