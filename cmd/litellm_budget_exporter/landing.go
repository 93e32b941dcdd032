package main

import (
	"bytes"
	"cmp"
	_ "embed" // the page's template
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/version"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// maxAccused is how many entities the landing page lists: more are nothing a person reads.
const maxAccused = 100

//go:embed landing.html
var landingHTML string

// styleHTML is the style of all pages.
//
//go:embed style.html
var styleHTML string

var landingTemplate = template.Must(template.Must(template.New("landing").Parse(styleHTML)).Parse(landingHTML))

// landingPage shows a person what the last snapshot says: how the two sources do, and who is falsely locked,
// bypassed or diverging now.
type landingPage struct {
	snapshot    func() *budget.Snapshot // nil before the first one
	now         func() time.Time
	metricsPath string // relative to the page
	logger      *slog.Logger
}

func (p *landingPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if err := landingTemplate.Execute(&page, p.view()); err != nil {
		p.logger.Error("Cannot make the landing page", "err", err)
		http.Error(w, "cannot make the page", http.StatusInternalServerError)
		return
	}
	sendPage(w, http.StatusOK, &page)
}

// sendPage sends a page that has no scripts and takes nothing from elsewhere.
func sendPage(w http.ResponseWriter, status int, page *bytes.Buffer) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // fails only when the reader has gone
}

// The view that the template is filled from: texts, so that an unknown value has a place of its own.
type (
	landingView struct {
		At      string
		Accused []accusedView
		Omitted int
		Judged  bool   // the whole fleet was judged
		Quiet   string // said when nobody is accused
		Sources []sourceView
		Fleets  []fleetView
		Links   []link
		Version string
	}

	accusedView struct {
		Verdict, Scope, Alias, Team, ID, Explain   string
		Reported, Enforced, Cap, Divergence, Cause string
	}

	sourceView struct {
		Name, State, Class, LastSuccess string
		Remarks                         []string
	}

	fleetView struct {
		Scope                                                                         string
		Entities, CapUnknown                                                          int
		FalselyLocked, Bypassed, Diverging, CountersPresent, ReportedSum, EnforcedSum string
	}

	link struct{ Path, Text string }
)

func (p *landingPage) view() landingView {
	v := landingView{
		Version: version.Version,
		Links: []link{
			{p.metricsPath, "Metrics"},
			{"-/healthy", "Healthy: is the process alive"},
			{"-/ready", "Ready: is it configured, and was everything read or tried once"},
		},
	}
	s := p.snapshot()
	if s == nil {
		v.Quiet = "… Nothing was read yet."
		return v
	}
	v.At = s.At.UTC().Format("2006-01-02 15:04:05 UTC")
	v.Sources = []sourceView{p.liteLLM(s), p.redis(s)}
	v.Accused = accused(s)
	v.Omitted = max(0, len(v.Accused)-maxAccused)
	v.Accused = v.Accused[:len(v.Accused)-v.Omitted]
	v.Fleets = fleets(s)
	v.Judged, v.Quiet = quiet(s)
	return v
}

func (p *landingPage) liteLLM(s *budget.Snapshot) sourceView {
	release := "Release " + s.Release.Version + "."
	if s.Release.Version == "" {
		release = "Release not detected."
	}
	if s.Release.Assumed {
		release += " The rules of the newest known release are taken for it."
	}
	return p.source("LiteLLM", s.Sources[budget.LiteLLM], release)
}

func (p *landingPage) redis(s *budget.Snapshot) sourceView {
	state, configured := s.Sources[budget.Redis]
	if !configured {
		return sourceView{Name: "Redis", State: "○ not configured — reported side only", Class: "open", LastSuccess: "–", Remarks: []string{
			"The counters that LiteLLM enforces are not read, so nobody can be found falsely locked, bypassed or diverging.",
		}}
	}
	names := "Counter names: " + s.CounterNames + "."
	if s.CounterNames == "" {
		names = "No counter was found yet."
	}
	return p.source("Redis", state, names)
}

func (p *landingPage) source(name string, state budget.SourceState, remark string) sourceView {
	v := sourceView{Name: name, State: "✓ up", Class: "good", LastSuccess: "never", Remarks: []string{remark}}
	switch {
	case state.Problem != "":
		v.State, v.Class = "✗ down", "bad"
		v.Remarks = append(v.Remarks, state.Problem)
	case !state.Up:
		v.State, v.Class = "… not read yet", "open"
	}
	if state.LastSuccess.Known {
		ago := max(0, p.now().Sub(state.LastSuccess.Value)).Round(time.Second)
		v.LastSuccess = ago.String() + " ago"
	}
	return v
}

// accused lists who has a verdict other than ok, worst first.
func accused(s *budget.Snapshot) []accusedView {
	found := byHarm(s)
	views := make([]accusedView, 0, len(found))
	for _, e := range found {
		views = append(views, accusedView{
			Verdict:    "⚠ " + words(string(e.Verdict)),
			Scope:      words(string(e.ID.Scope)),
			Alias:      shown(e.Names.Alias),
			Team:       shown(team(e)),
			ID:         shown(e.ID.Value),
			Explain:    explainLink(e.ID.Value),
			Reported:   usd(e.Reported),
			Enforced:   usd(e.Enforced),
			Cap:        capText(e.Cap),
			Divergence: signedUSD(e.Divergence),
			Cause:      string(e.Cause),
		})
	}
	return views
}

// team names the team of a key.
func team(e *budget.Entity) string {
	if e.ID.Scope == budget.Team {
		return ""
	}
	return cmp.Or(e.Names.TeamAlias, e.Names.TeamID)
}

// quiet says what it means that nobody is accused: everything is well only when everybody was judged.
func quiet(s *budget.Snapshot) (judged bool, text string) {
	if _, configured := s.Sources[budget.Redis]; !configured {
		return false, "○ Nobody can be judged: no Redis is configured, so only the reported side is known."
	}
	if len(s.Fleets) == 0 {
		return false, "… Not everything was judged yet."
	}
	for _, f := range s.Fleets {
		if !f.FalselyLocked.Known || !f.Bypassed.Known || f.Diverging == nil {
			return false, "… Not everything was judged yet, or a source has been down for too long."
		}
	}
	return true, "✓ Nobody is falsely locked, bypassed or diverging."
}

func fleets(s *budget.Snapshot) []fleetView {
	var views []fleetView
	for _, scope := range budget.Scopes {
		f, read := s.Fleets[scope]
		if !read {
			continue
		}
		v := fleetView{
			Scope:           words(string(scope)),
			Entities:        f.Entities,
			CapUnknown:      f.CapUnknown,
			FalselyLocked:   count(f.FalselyLocked),
			Bypassed:        count(f.Bypassed),
			Diverging:       "unknown",
			CountersPresent: count(f.CountersPresent),
			ReportedSum:     usd(f.ReportedSum),
			EnforcedSum:     usd(f.EnforcedSum),
		}
		if f.Diverging != nil {
			sum := 0
			for n := range maps.Values(f.Diverging) {
				sum += n
			}
			v.Diverging = strconv.Itoa(sum)
		}
		views = append(views, v)
	}
	return views
}

// shown is a name as it fits on a page: LiteLLM does not limit names.
func shown(name string) string {
	const longest = 120
	runes := []rune(name) // what is no UTF-8 becomes the replacement character
	if len(runes) > longest {
		runes = append(runes[:longest], '…')
	}
	return string(runes)
}

// words turns a label value into what a person reads.
func words(label string) string { return strings.ReplaceAll(label, "_", " ") }

func count(n budget.Optional[int]) string {
	if !n.Known {
		return "unknown"
	}
	return strconv.Itoa(n.Value)
}

func capText(c budget.Cap) string {
	switch {
	case c.State == budget.CapUnlimited:
		return "unlimited"
	case c.State == budget.CapUnknown:
		return "unknown"
	case c.Low != c.High:
		return explain.Amount(c.Low) + " or " + explain.Amount(c.High)
	default:
		return explain.Amount(c.Low)
	}
}

func usd(v budget.Optional[float64]) string {
	if !v.Known {
		return "unknown"
	}
	return explain.Amount(v.Value)
}

func signedUSD(v budget.Optional[float64]) string {
	if v.Known && v.Value > 0 {
		return "+" + explain.Amount(v.Value)
	}
	return usd(v)
}
