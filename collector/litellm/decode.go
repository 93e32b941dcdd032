package litellm

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// uiTeam is the team_id of the session keys of LiteLLM's admin pages: no virtual keys of anybody's.
const uiTeam = "litellm-dashboard"

// wireKey is what is read of a key. Fields stay raw until they are read by name, so that a field that is
// absent, which tells the release's ability, differs from one that is null, and an error can name it.
type wireKey struct {
	Token     json.RawMessage `json:"token"` // /key/list only
	Status    json.RawMessage `json:"status"`
	KeyName   json.RawMessage `json:"key_name"`
	KeyAlias  json.RawMessage `json:"key_alias"`
	TeamID    json.RawMessage `json:"team_id"`
	UserID    json.RawMessage `json:"user_id"`
	OrgID     json.RawMessage `json:"org_id"`          // /key/list
	OrgIDRaw  json.RawMessage `json:"organization_id"` // /key/info, /v2/key/info
	ProjectID json.RawMessage `json:"project_id"`

	Spend        json.RawMessage `json:"spend"`
	TotalSpend   json.RawMessage `json:"total_spend"` // 1.104.0 and later
	MaxBudget    json.RawMessage `json:"max_budget"`
	BudgetID     json.RawMessage `json:"budget_id"`            // in /key/list after 1.87.5
	BudgetTable  json.RawMessage `json:"litellm_budget_table"` // null in /key/list before 1.104: not loaded
	BudgetLimits json.RawMessage `json:"budget_limits"`
	ResetAt      json.RawMessage `json:"budget_reset_at"`
	Metadata     json.RawMessage `json:"metadata"`

	Blocked   json.RawMessage `json:"blocked"`
	Expires   json.RawMessage `json:"expires"`
	TPMLimit  json.RawMessage `json:"tpm_limit"`
	RPMLimit  json.RawMessage `json:"rpm_limit"`
	CreatedAt json.RawMessage `json:"created_at"`
}

type wireTeam struct {
	TeamID       json.RawMessage `json:"team_id"`
	Alias        json.RawMessage `json:"team_alias"`
	OrgID        json.RawMessage `json:"organization_id"`
	Spend        json.RawMessage `json:"spend"`
	TotalSpend   json.RawMessage `json:"total_spend"`
	MaxBudget    json.RawMessage `json:"max_budget"`
	BudgetLimits json.RawMessage `json:"budget_limits"`
	ResetAt      json.RawMessage `json:"budget_reset_at"`
	Blocked      json.RawMessage `json:"blocked"`
}

type wireBudget struct {
	ID        json.RawMessage `json:"budget_id"`
	MaxBudget json.RawMessage `json:"max_budget"`
	ResetAt   json.RawMessage `json:"budget_reset_at"`
}

type wireWindow struct {
	Duration  json.RawMessage `json:"budget_duration"`
	MaxBudget json.RawMessage `json:"max_budget"`
	ResetAt   json.RawMessage `json:"reset_at"`
}

// decoder makes rows of one answer's body. Its errors name the field that cannot be read: "keys[3].spend".
type decoder struct {
	readAt  time.Time
	strings *sharedStrings
}

func (a answer) decoder(s *sharedStrings) decoder { return decoder{readAt: a.at, strings: s} }

func (d decoder) keyPage(body []byte, asked int) (Page, error) {
	var wire struct {
		Keys       json.RawMessage `json:"keys"`
		Page       json.RawMessage `json:"current_page"`
		TotalPages json.RawMessage `json:"total_pages"`
		Total      json.RawMessage `json:"total_count"`
	}
	if err := object(body, &wire); err != nil {
		return Page{}, err
	}
	f := fields{}
	p := Page{
		ReadAt:     d.readAt,
		Page:       f.count("current_page", wire.Page),
		TotalPages: f.count("total_pages", wire.TotalPages),
		Total:      f.count("total_count", wire.Total),
	}
	if f.err == nil && p.Page != asked {
		f.err = fmt.Errorf("current_page is %d, asked for was page %d", p.Page, asked)
	}
	items := f.list("keys", wire.Keys)
	p.Received = len(items)
	p.Rows = make([]*budget.Row, 0, len(items))
	for i, raw := range items {
		item := fields{path: fmt.Sprintf("keys[%d]", i)}
		var w wireKey
		item.object("", raw, &w)
		row := d.key(&item, w)
		row.ID.Value = item.keyHash("token", w.Token)
		if item.err != nil {
			return Page{}, item.err
		}
		if row.Names.TeamID != uiTeam {
			p.Rows = append(p.Rows, row)
		}
	}
	return p, f.err
}

func (d decoder) keyInfo(body []byte, hash string) (*budget.Row, error) {
	var wire struct {
		Key  json.RawMessage `json:"key"`
		Info json.RawMessage `json:"info"`
	}
	if err := object(body, &wire); err != nil {
		return nil, err
	}
	f := fields{}
	if echoed := f.required("key", wire.Key); f.err == nil && echoed != hash {
		return nil, errors.New("key: the answer is about another key than the one asked for")
	}
	var w wireKey
	info := fields{path: "info", err: f.err}
	info.object("", wire.Info, &w)
	row := d.key(&info, w)
	row.ID.Value = hash
	switch status := info.text("status", w.Status); {
	case info.err != nil:
		return nil, info.err
	case status == "deleted", row.Names.TeamID == uiTeam:
		return nil, ErrNotFound
	}
	return row, nil
}

func (d decoder) keysInfo(body []byte) ([]*budget.Row, error) {
	var wire struct {
		Info json.RawMessage `json:"info"`
	}
	if err := object(body, &wire); err != nil {
		return nil, err
	}
	f := fields{}
	items := f.list("info", wire.Info)
	rows := make([]*budget.Row, 0, len(items))
	for i, raw := range items {
		item := fields{path: fmt.Sprintf("info[%d]", i)}
		var w wireKey
		item.object("", raw, &w)
		row := d.key(&item, w)
		if item.err != nil {
			return nil, item.err
		}
		if row.Names.TeamID != uiTeam {
			rows = append(rows, row)
		}
	}
	return rows, f.err
}

// key makes a row without ID.Value.
func (d decoder) key(f *fields, w wireKey) *budget.Row {
	r := &budget.Row{
		ID:         budget.ID{Scope: budget.Key},
		ReadAt:     d.readAt,
		Spend:      f.number("spend", w.Spend),
		TotalSpend: f.number("total_spend", w.TotalSpend),
		MaxBudget:  f.number("max_budget", w.MaxBudget),
		Link:       d.link(f, w),
		ResetAt:    f.instant("budget_reset_at", w.ResetAt),
		Windows:    d.windows(f, w.BudgetLimits),
		Blocked:    f.flag("blocked", w.Blocked),
		Expires:    f.instant("expires", w.Expires),
		CreatedAt:  f.instant("created_at", w.CreatedAt),
		KeyName:    f.text("key_name", w.KeyName),
	}
	r.Names = budget.Names{
		Alias:     f.text("key_alias", w.KeyAlias),
		TeamID:    d.strings.of(f.text("team_id", w.TeamID)),
		UserID:    d.strings.of(f.text("user_id", w.UserID)),
		OrgID:     d.strings.of(cmp.Or(f.text("org_id", w.OrgID), f.text("organization_id", w.OrgIDRaw))),
		ProjectID: d.strings.of(f.text("project_id", w.ProjectID)),
		BudgetID:  r.Link.BudgetID,
	}
	limited := f.number("tpm_limit", w.TPMLimit).Known || f.number("rpm_limit", w.RPMLimit).Known
	d.metadata(f, w.Metadata, r, limited)
	return r
}

// link tells what the answer says of the linked budget: nothing where it has neither budget_id nor the budget.
func (d decoder) link(f *fields, w wireKey) budget.BudgetLink {
	var linked budget.Optional[budget.LinkedBudget]
	if present(w.BudgetTable) {
		linked = budget.Some(d.budget(f.at("litellm_budget_table"), f, w.BudgetTable))
	}
	id := d.strings.of(f.text("budget_id", w.BudgetID))
	switch {
	case id != "":
		return budget.BudgetLink{State: budget.LinkTo, BudgetID: id, Budget: linked}
	case linked.Known:
		return budget.BudgetLink{State: budget.LinkTo, BudgetID: linked.Value.ID, Budget: linked}
	case w.BudgetID == nil:
		return budget.BudgetLink{State: budget.LinkUnread}
	}
	return budget.BudgetLink{State: budget.LinkNone}
}

// budget reads a row of the budget table at a path; an error goes to the fields it is part of.
func (d decoder) budget(path string, parent *fields, raw json.RawMessage) budget.LinkedBudget {
	f := fields{path: path, err: parent.err}
	var w wireBudget
	f.object("", raw, &w)
	b := budget.LinkedBudget{
		ID:        d.strings.of(f.required("budget_id", w.ID)),
		MaxBudget: f.number("max_budget", w.MaxBudget),
		ResetAt:   f.instant("budget_reset_at", w.ResetAt),
	}
	parent.err = f.err
	return b
}

// windows reads budget_limits; of two of one duration the lower cap counts.
func (d decoder) windows(f *fields, raw json.RawMessage) []budget.Window {
	if raw = f.column("budget_limits", raw); !present(raw) {
		return nil
	}
	var windows []budget.Window
	for i, item := range f.list("budget_limits", raw) {
		wf := fields{path: fmt.Sprintf("%s[%d]", f.at("budget_limits"), i), err: f.err}
		var w wireWindow
		wf.object("", item, &w)
		window := budget.Window{
			Duration:  d.strings.of(wf.required("budget_duration", w.Duration)),
			MaxBudget: wf.number("max_budget", w.MaxBudget),
			ResetAt:   wf.instant("reset_at", w.ResetAt),
		}
		f.err = wf.err
		same := slices.IndexFunc(windows, func(o budget.Window) bool { return o.Duration == window.Duration })
		switch {
		case same < 0:
			windows = append(windows, window)
		case lower(window.MaxBudget, windows[same].MaxBudget):
			windows[same] = window
		}
	}
	return windows
}

// lower compares two caps; none is the highest.
func lower(a, b budget.Optional[float64]) bool {
	return a.Known && (!b.Known || a.Value < b.Value)
}

// metadata reads what LiteLLM keeps of a budget in a key's metadata. The rest of it is anybody's to write,
// so what cannot be read in it concerns this key alone and does not make the answer malformed. An increase
// without an expiry that can be read does not hold for LiteLLM either.
func (d decoder) metadata(f *fields, raw json.RawMessage, r *budget.Row, limited bool) {
	var w struct {
		Increase json.RawMessage `json:"temp_budget_increase"`
		Expiry   json.RawMessage `json:"temp_budget_expiry"`
		Throttle json.RawMessage `json:"throttle_on_budget_exceeded"`
	}
	if raw = f.column("metadata", raw); present(raw) {
		f.object("metadata", raw, &w)
	}
	r.Throttled = string(w.Throttle) == "true" && limited

	own := fields{}
	usd, expiry := own.number("", w.Increase), own.text("", w.Expiry)
	if own.err != nil || !usd.Known {
		return
	}
	if at, zoned, err := parseInstant(expiry); err == nil {
		r.TempIncrease = budget.TemporaryIncrease{USD: usd.Value, ExpiresAt: at, NoZone: !zoned}
	}
}

func (d decoder) teamPage(body []byte, asked int) (Page, error) {
	var wire struct {
		Teams      json.RawMessage `json:"teams"`
		Page       json.RawMessage `json:"page"`
		TotalPages json.RawMessage `json:"total_pages"`
		Total      json.RawMessage `json:"total"`
	}
	if err := object(body, &wire); err != nil {
		return Page{}, err
	}
	f := fields{}
	p := Page{
		ReadAt:     d.readAt,
		Page:       f.count("page", wire.Page),
		TotalPages: f.count("total_pages", wire.TotalPages),
		Total:      f.count("total", wire.Total),
	}
	if f.err == nil && p.Page != asked {
		f.err = fmt.Errorf("page is %d, asked for was page %d", p.Page, asked)
	}
	items := f.list("teams", wire.Teams)
	p.Received = len(items)
	for i, raw := range items {
		item := fields{path: fmt.Sprintf("teams[%d]", i)}
		row := d.team(&item, raw)
		if item.err != nil {
			return Page{}, item.err
		}
		p.Rows = append(p.Rows, row)
	}
	return p, f.err
}

func (d decoder) teamInfo(body []byte, id string) (*budget.Row, error) {
	var wire struct {
		Info json.RawMessage `json:"team_info"`
	}
	if err := object(body, &wire); err != nil {
		return nil, err
	}
	f := fields{path: "team_info"}
	row := d.team(&f, wire.Info)
	if f.err == nil && row.ID.Value != id {
		f.err = errors.New("team_info.team_id: the answer is about another team than the one asked for")
	}
	return row, f.err
}

func (d decoder) team(f *fields, raw json.RawMessage) *budget.Row {
	var w wireTeam
	f.object("", raw, &w)
	return &budget.Row{
		ID:     budget.ID{Scope: budget.Team, Value: d.strings.of(f.required("team_id", w.TeamID))},
		ReadAt: d.readAt,
		Names: budget.Names{
			Alias: f.text("team_alias", w.Alias),
			OrgID: d.strings.of(f.text("organization_id", w.OrgID)),
		},
		Spend:      f.number("spend", w.Spend),
		TotalSpend: f.number("total_spend", w.TotalSpend),
		MaxBudget:  f.number("max_budget", w.MaxBudget),
		Link:       budget.BudgetLink{State: budget.LinkNone},
		ResetAt:    f.instant("budget_reset_at", w.ResetAt),
		Windows:    d.windows(f, w.BudgetLimits),
		Blocked:    f.flag("blocked", w.Blocked),
	}
}

func (d decoder) budgets(body []byte) (map[string]budget.LinkedBudget, error) {
	f := fields{}
	items := f.list("", body)
	budgets := make(map[string]budget.LinkedBudget, len(items))
	for i, raw := range items {
		b := d.budget(fmt.Sprintf("[%d]", i), &f, raw)
		budgets[b.ID] = b
	}
	if f.err != nil {
		return nil, f.err
	}
	return budgets, nil
}

// decodeVersion reads litellm_version.
func decodeVersion(body []byte) (string, error) {
	var wire struct {
		Version json.RawMessage `json:"litellm_version"`
	}
	if err := object(body, &wire); err != nil {
		return "", err
	}
	f := fields{}
	return f.required("litellm_version", wire.Version), f.err
}
